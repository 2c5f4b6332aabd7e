/** The unit and what comes with it: valid, closed enough, and wide enough for what the program's own bounds allow. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { EXCHANGES_IN_FLIGHT_MAX, WORKERS_MAX } from "../../src/base/limits.ts";
import { findProgram } from "../support/installed.ts";
import { ROOT } from "../support/program.ts";

const UNIT = readFileSync(join(ROOT, "systemd/sluice.service"), "utf8");
/** Of systemd-analyze: tenths of its ten points. */
const EXPOSURE_MAX = 15;
/** Main thread, V8's and libuv's; the supervisor has its pool as well. */
const THREADS_PER_PROCESS = 12;

function setting(name: string): string | undefined {
  return new RegExp(`^${name}=(.*)$`, "m").exec(UNIT)?.[1];
}

test("systemd finds no mistake in it and an exposure of at most 1.5, where it is installed", (t) => {
  equal(setting("NoNewPrivileges"), "yes");
  const analyze = findProgram("systemd-analyze");
  if (analyze === null) return;
  const directory = mkdtempSync(join(tmpdir(), "sluice-unit-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "sluice.service");
  // The program has to be there.
  writeFileSync(file, UNIT.replaceAll("=/usr/bin/sluice ", `=${process.execPath} `));
  const verify = spawnSync(analyze, ["verify", "--man=no", file], { encoding: "utf8" });
  deepEqual([verify.status, verify.stderr], [0, ""]);
  const limit = ["security", "--offline=true", `--threshold=${EXPOSURE_MAX}`, "--no-pager", file];
  const security = spawnSync(analyze, limit, { encoding: "utf8" });
  equal(security.status, 0, security.stdout + security.stderr);
});

test("descriptors and tasks are enough for what a worker and a gateway take", () => {
  ok(Number(setting("LimitNOFILE")) >= 4 * EXCHANGES_IN_FLIGHT_MAX);
  ok(Number(setting("TasksMax")) >= 2 * WORKERS_MAX * THREADS_PER_PROCESS);
});

test("one worker without memory does not end the service, and a start that fails is tried again", () => {
  deepEqual(["OOMPolicy", "Restart", "RuntimeDirectoryPreserve"].map(setting), ["continue", "on-failure", "restart"]);
  equal(setting("MemoryHigh"), undefined);
});

test("every kernel setting has its reason above it", () => {
  const lines = readFileSync(join(ROOT, "systemd/60-sluice.conf"), "utf8").trimEnd().split("\n");
  const bare = lines.filter((line, index) => !line.startsWith("#") && !lines[index - 1]?.startsWith("#"));
  deepEqual(bare, []);
});
