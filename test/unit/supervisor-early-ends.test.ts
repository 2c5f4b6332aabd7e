/** The back-off between starts of the service: who counts, who waits, and when it is forgotten. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { SOUND_AFTER_MS } from "../../src/supervisor/backoff.ts";
import { EarlyEnds } from "../../src/supervisor/early-ends.ts";
import { Program, ROOT } from "../support/program.ts";
import { Sluice } from "../support/sluice.ts";
import { Upstream } from "../support/upstream.ts";

function directoryFor(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "sluice-runtime-"));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

function countOf(directory: string): string {
  return readFileSync(join(directory, "early-ends"), "utf8");
}

test("a program that cannot start is counted, waits longer each time and says so", async (t) => {
  const directory = directoryFor(t);
  const env = { RUNTIME_DIRECTORY: `${directory}:/nonexistent` };
  const said: string[] = [];
  for (const _ of [0, 1, 2, 3]) {
    const program = new Program([join(ROOT, "src/main.ts"), "serve", "-c", join(directory, "missing.yaml")], env);
    assert.equal(await program.end(), 1);
    said.push(program.stderr());
  }
  assert.equal(countOf(directory), "4\n");
  const delays = said.map((text) => /"starts":(\d),"delay_ms":(\d+)/.exec(text)?.slice(1).join());
  assert.deepEqual(delays, [undefined, undefined, "2,100", "3,200"]);
});

test("one that is told to end begins anew, and a command that looks at it counts nothing", async (t) => {
  const directory = directoryFor(t);
  writeFileSync(join(directory, "early-ends"), "1\n");
  const upstream = await Upstream.start();
  t.after(() => upstream.stop());
  const sluice = await Sluice.start(upstream, {}, ROOT, { RUNTIME_DIRECTORY: directory });
  assert.equal(countOf(directory), "2\n");
  assert.equal((await sluice.command("restart")).code, 0);
  assert.equal(countOf(directory), "2\n", "neither the trial nor the next generation is a start of the service");
  await sluice.stop();
  assert.equal(existsSync(join(directory, "early-ends")), false);
});

test("one that serves for a while was sound", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const directory = directoryFor(t);
  const ends = new EarlyEnds({ RUNTIME_DIRECTORY: directory });
  await ends.begin();
  ends.serves();
  t.mock.timers.tick(SOUND_AFTER_MS - 1);
  assert.equal(countOf(directory), "1\n");
  t.mock.timers.tick(1);
  assert.equal(existsSync(join(directory, "early-ends")), false);
});

test("without a directory of systemd's nothing is counted, and a count that nobody can read is none", async (t) => {
  await new EarlyEnds({}).begin();
  const directory = directoryFor(t);
  writeFileSync(join(directory, "early-ends"), "many");
  await new EarlyEnds({ RUNTIME_DIRECTORY: directory }).begin();
  assert.equal(countOf(directory), "1\n");
});
