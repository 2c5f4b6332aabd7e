/** How long the turns of a worker's event loop are: the addon that measures them, the arithmetic, and one run of all of it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { pausesText } from "../../native-bench/pauses/pauses.ts";
import { hdrIndexOf } from "../../src/base/hdr-geometry.ts";
import { buildPrograms } from "./programs.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const BUSY_MS = 30;

before(buildPrograms);

function burnCpu(ms: number): void {
  const before = process.cpuUsage();
  for (;;) {
    const { user, system } = process.cpuUsage(before);
    if (user + system >= 1_000 * ms) return;
  }
}

test("a turn is as long as the CPU time that it takes, and what nobody watches is not counted", async () => {
  const turns: { start(): void; stop(): number[] } = createRequire(import.meta.url)(
    `${ROOT}native-bench/native/build/loop-turns.node`,
  );
  assert.deepEqual(turns.stop(), []);
  turns.start();
  burnCpu(BUSY_MS);
  await turn();
  await turn();
  const seen = turns.stop();
  burnCpu(BUSY_MS);
  await turn();
  assert.deepEqual(turns.stop(), []);
  const indexes = seen.filter((_, place) => place % 2 === 0);
  // The clock of the process runs for its other threads as well.
  const half = hdrIndexOf((BUSY_MS / 2) * 1e6);
  assert.equal(indexes.filter((index) => index >= half).length, 1, indexes.join());
});

test("turns are told by percentile, and the longest", () => {
  const text = pausesText([hdrIndexOf(50_000), 990, hdrIndexOf(2_000_000), 10], { requests: 5, right: 4 });
  assert.match(text, /^1000 turns of the worker's event loop, of CPU time; 5 requests, 1 wrong$/m);
  assert.match(text, /^a turn +50 us +50 us +2000 us +200\d us$|^a turn +50 us +50 us +200\d us +200\d us$/m);
});

test("a run says how long the turns of a worker are, and leaves nothing behind", () => {
  const directory = mkdtempSync(join(tmpdir(), "pauses-test-"));
  try {
    const args = ["--pauses", "--scenario", "small-1500-large", "--rounds", "1", "--seconds", "1"];
    const all = ["--disable-warning=ExperimentalWarning", join(ROOT, "native-bench", "bench.ts"), ...args];
    const env = { ...process.env, TMPDIR: directory };
    const { status, stdout, stderr } = spawnSync(process.execPath, all, { encoding: "utf8", env, timeout: 120_000 });
    assert.equal(status, 0, stderr);
    const [, turns, longest] = /^(\d+) turns of[\s\S]*^a turn .* (\d+) us$/m.exec(stdout) ?? [];
    assert.ok(Number(turns) > 0 && Number(longest) > 0, stdout);
    assert.match(stdout, / 1500 requests, 0 wrong$/m);
    assert.deepEqual(readdirSync(directory), []);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
