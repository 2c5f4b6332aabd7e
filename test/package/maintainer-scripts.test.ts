/**
 * What the maintainer scripts do and in which order, with a recorder in the place of every command that changes a system, and
 * the directories of one below a temporary one. That the commands then do what they should is for a whole system to show.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { packagedConfig } from "../../src/config/first.ts";
import { ROOT } from "../support/program.ts";

const COMMANDS = [
  ...[
    "systemctl",
    "deb-systemd-invoke",
    "deb-systemd-helper",
    "systemd-sysusers",
    "systemd-tmpfiles",
    "systemd-sysctl",
  ],
  ...["runuser", "dpkg-statoverride", "chown", "sluice", "policy-rc.d"],
];
/** Paths of the system that the scripts name; longer ones first. */
const PATHS = [
  ...["/lib/systemd/systemd-sysctl", "/usr/sbin/policy-rc.d", "/run/systemd/system"],
  ...["/var/lib/sluice", "/var/log/sluice", "/etc/sluice"],
];
/** Notes the command, and answers as the machine was told to. */
const RECORDER = `#!/bin/sh
name=\${0##*/}
printf '%s\\n' "$name $*" >>"$MACHINE/calls"
if [ -f "$MACHINE/answers/$name" ]; then . "$MACHINE/answers/$name"; fi
`;

class Machine {
  readonly root: string;

  constructor(t: TestContext, systemd = true) {
    this.root = mkdtempSync(join(tmpdir(), "sluice-machine-"));
    t.after(() => rmSync(this.root, { recursive: true }));
    for (const folder of [
      "bin",
      "answers",
      "etc/sluice",
      "var/lib/sluice",
      "var/log/sluice",
      "lib/systemd",
      "usr/sbin",
    ])
      mkdirSync(join(this.root, folder), { recursive: true });
    if (systemd) mkdirSync(join(this.root, "run/systemd/system"), { recursive: true });
    writeFileSync(join(this.root, "bin/recorder"), RECORDER);
    chmodSync(join(this.root, "bin/recorder"), 0o755);
    for (const name of COMMANDS) symlinkSync("recorder", join(this.root, "bin", name));
    symlinkSync("../../bin/systemd-sysctl", join(this.root, "lib/systemd/systemd-sysctl"));
    this.write("etc/sluice/sluice.yaml", packagedConfig());
    this.answer("dpkg-statoverride", "exit 1");
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    writeFileSync(join(this.root, path), text);
  }

  has(path: string): boolean {
    return existsSync(join(this.root, path));
  }

  /** What a command does from now on, in shell. */
  answer(command: string, shell: string): void {
    this.write(`answers/${command}`, `${shell}\n`);
  }

  /** The administrator decides about services of packages, with this exit code. */
  setPolicy(code: number): void {
    symlinkSync("../../bin/policy-rc.d", join(this.root, "usr/sbin/policy-rc.d"));
    this.answer("policy-rc.d", `exit ${code}`);
  }

  /** What the script prints; it has to succeed. */
  run(script: "postinst" | "prerm" | "postrm", ...args: readonly string[]): string {
    const source = readFileSync(join(ROOT, "packaging/debian", script), "utf8");
    const moved = PATHS.reduce((text, path) => text.replaceAll(path, join(this.root, path)), source);
    const file = join(this.root, script);
    writeFileSync(file, moved);
    const env = { ...process.env, PATH: `${join(this.root, "bin")}:${process.env["PATH"]}`, MACHINE: this.root };
    const { status, stdout, stderr } = spawnSync("sh", [file, ...args], { env, encoding: "utf8" });
    equal(status, 0, stderr);
    return stdout;
  }

  /** The commands that were run, in order, without the paths of this machine. */
  get calls(): readonly string[] {
    const file = join(this.root, "calls");
    const text = existsSync(file) ? readFileSync(file, "utf8") : "";
    return text.replaceAll(this.root, "").trimEnd().split("\n").filter(Boolean);
  }

  /** Those of them that bring the service up, down, or into another version. */
  get orders(): readonly string[] {
    return this.calls.filter((call) =>
      /^(?:deb-systemd-invoke|sluice restart|systemctl .*(?:start|stop|reload) )/.test(call),
    );
  }
}

/** The service runs. */
function running(t: TestContext): Machine {
  const machine = new Machine(t);
  machine.write("etc/sluice/keys.yaml", "keys:\n");
  return machine;
}

const UPGRADE = ["configure", "0.1.0"] as const;
const TAKE_OVER = "sluice restart --config /etc/sluice/sluice.yaml";

test("an installation makes user, directories and key, and starts a service whose configuration its user can use", (t) => {
  const machine = new Machine(t);
  machine.answer("sluice", `touch "$MACHINE/etc/sluice/first-key"`);
  const said = machine.run("postinst", "configure", "");
  deepEqual(machine.calls, [
    "systemd-sysusers sluice.conf",
    "systemd-tmpfiles --create sluice.conf",
    "dpkg-statoverride --list /etc/sluice/sluice.yaml",
    "chown root:sluice /etc/sluice/sluice.yaml",
    "dpkg-statoverride --list /etc/sluice/keys.yaml",
    "chown root:sluice /etc/sluice/keys.yaml",
    "sluice key create --config /etc/sluice/sluice.yaml --name default --output /etc/sluice/first-key",
    "runuser -u sluice -- sluice check /etc/sluice/sluice.yaml",
    "deb-systemd-helper unmask sluice.service",
    "deb-systemd-helper --quiet was-enabled sluice.service",
    "deb-systemd-helper enable sluice.service",
    "systemctl --system daemon-reload",
    "systemd-sysctl --prefix=/net/ipv4/tcp_migrate_req",
    "deb-systemd-invoke start sluice.service",
  ]);
  match(said, /http:\/\/127\.0\.0\.1:8081\/v1.*\n.*\n.*curl .*first-key/);
});

test("an upgrade takes over from what runs, and restarts the unit only if that is refused", (t) => {
  const machine = running(t);
  equal(machine.run("postinst", ...UPGRADE), "");
  deepEqual(machine.orders, [TAKE_OVER]);
  const refusing = running(t);
  refusing.answer("sluice", "echo too old >&2; exit 1");
  match(refusing.run("postinst", ...UPGRADE), /too old\n.*finishes what runs and starts again/);
  deepEqual(refusing.orders, [TAKE_OVER, "deb-systemd-invoke restart sluice.service"]);
});

test("a service that does not run is not taken over", (t) => {
  const machine = running(t);
  machine.answer("systemctl", 'case "$*" in *is-active*) exit 3 ;; esac');
  machine.run("postinst", ...UPGRADE);
  deepEqual(machine.orders, ["deb-systemd-invoke restart sluice.service"]);
});

test("where the administrator forbids that packages restart services, the old version goes on, and is told", (t) => {
  const machine = running(t);
  machine.setPolicy(101);
  match(machine.run("postinst", ...UPGRADE), /policy-rc\.d does not let .*: sluice restart\n/);
  deepEqual(machine.orders, []);
  ok(machine.calls.includes("policy-rc.d sluice.service restart"));
  const allowing = running(t);
  allowing.setPolicy(104);
  equal(allowing.run("postinst", ...UPGRADE), "");
  deepEqual(allowing.orders, [TAKE_OVER]);
});

test("with a configuration that cannot be used the service is neither enabled nor restarted, and the reason is said", (t) => {
  const machine = running(t);
  machine.answer("runuser", "echo line 7 >&2; exit 1");
  match(machine.run("postinst", ...UPGRADE), /^line 7\nsluice: .*neither enabled nor \(re\)started/);
  deepEqual(machine.orders, []);
  equal(
    machine.calls.some((call) => call.startsWith("deb-systemd-helper")),
    false,
  );
});

test("without systemd nobody is asked to start anything", (t) => {
  const machine = new Machine(t, false);
  machine.run("postinst", "configure", "");
  machine.run("prerm", "remove");
  machine.run("postrm", "remove");
  deepEqual(machine.orders, []);
  equal(
    machine.calls.some((call) => call.startsWith("systemctl")),
    false,
  );
});

test("what the administrator did about keys and modes stays", (t) => {
  const machine = running(t);
  machine.answer("dpkg-statoverride", "exit 0");
  machine.run("postinst", "configure", "");
  equal(
    machine.calls.some((call) => call.startsWith("sluice key") || call.startsWith("chown")),
    false,
  );
  const other = new Machine(t);
  other.write("etc/sluice/sluice.yaml", "keys: []\n");
  other.run("postinst", "configure", "");
  equal(other.has("etc/sluice/keys.yaml"), false);
});

test("a removal stops the service and keeps everything; an upgrade stops nothing", (t) => {
  const machine = running(t);
  machine.run("prerm", "upgrade", "0.2.0");
  deepEqual(machine.calls, []);
  machine.write("var/lib/sluice/usage.db", "");
  machine.run("prerm", "remove");
  machine.run("postrm", "remove");
  deepEqual(machine.calls, ["deb-systemd-invoke stop sluice.service", "systemctl --system daemon-reload"]);
  ok(machine.has("var/lib/sluice/usage.db") && machine.has("etc/sluice/keys.yaml"));
});

test("a purge takes keys, records and logs, and leaves what the administrator put beside them", (t) => {
  const machine = running(t);
  for (const path of ["var/lib/sluice/usage.db", "var/log/sluice/access.ndjson", "etc/sluice/first-key"])
    machine.write(path, "");
  machine.write("etc/sluice/openai", "sk-provider");
  // What dpkg removes itself: the configuration files of the package.
  rmSync(join(machine.root, "etc/sluice/sluice.yaml"));
  machine.run("postrm", "purge");
  deepEqual(
    ["var/lib/sluice", "var/log/sluice", "etc/sluice/keys.yaml", "etc/sluice/first-key"].filter((path) =>
      machine.has(path),
    ),
    [],
  );
  ok(machine.has("etc/sluice/openai"));
  rmSync(join(machine.root, "etc/sluice/openai"));
  machine.run("postrm", "purge");
  equal(machine.has("etc/sluice"), false);
  ok(machine.calls.includes("deb-systemd-helper purge sluice.service"));
});
