/** `npm run bench` itself, short: a whole run with its table and files, and that nothing stays behind, however it ends. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Nginx } from "../../native-bench/contestants/nginx.ts";
import { compareResults } from "../../native-bench/runner/against.ts";
import { withDescendants } from "../../native-bench/runner/processes.ts";
import { readResult } from "../../native-bench/runner/result.ts";
import { readHlog } from "../../src/telemetry/hdr/hlog-reader.ts";
import { isAlive } from "../support/process-tree.ts";
import { Program } from "../support/program.ts";
import { until } from "../support/until.ts";
import { buildPrograms } from "./programs.ts";

const RUN_DEADLINE_MS = 120_000;
const SHORT = ["--scenario", "saturation", "--rounds", "1", "--seconds", "0.5"];
const LONG = ["--scenario", "saturation", "--rounds", "100", "--seconds", "0.2", "--without", "nginx"];

let directory = "";

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "sluice-bench-test-"));
  await buildPrograms();
});

after(() => rmSync(directory, { recursive: true, force: true }));

/** What it puts aside for the time of the run goes into a directory of its own. */
function bench(name: string, ...options: readonly string[]): { program: Program; own: string } {
  const own = mkdtempSync(join(directory, `${name}-`));
  return { program: new Program(["native-bench/bench.ts", ...options], { TMPDIR: own }), own };
}

test("a run prints a table and writes a result that can be read, with as many values as answers", async () => {
  const out = join(directory, "result");
  const { program, own } = bench("run", ...SHORT, "--out", out);
  assert.equal(await program.end(RUN_DEADLINE_MS), 0, program.stderr());
  assert.deepEqual(readdirSync(own), []);

  const result = readResult(out);
  const [scenario] = result.scenarios;
  assert.ok(scenario !== undefined);
  const contestants = Nginx.missing() === null ? ["direct", "nginx", "sluice"] : ["direct", "sluice"];
  assert.deepEqual(
    scenario.turns.map(({ contestant }) => contestant),
    contestants,
  );
  assert.deepEqual(Object.keys(result.missing), contestants.length === 3 ? [] : ["nginx"]);
  for (const { contestant, load } of scenario.turns) {
    assert.match(program.stdout(), new RegExp(`^${contestant} +[\\d,]+ `, "m"));
    assert.equal(load.right, load.requests);
    assert.equal(valuesOf(join(out, `${contestant}.hlog`), `saturation/${contestant}/total`), load.right);
    const percentiles = readFileSync(join(out, "hgrm", `saturation.${contestant}.total.hgrm`), "utf8");
    assert.match(percentiles, new RegExp(`Total count += +${load.right}\\]`));
  }
  assert.match(readFileSync(join(out, "curves.html"), "utf8"), /<h2>saturation total<\/h2>/);

  const { text, isWorse } = compareResults(out, out);
  assert.equal(isWorse, false);
  assert.match(text, /1 tags: 0 worse, 0 better beyond noise/);
});

/** Of all intervals with this tag. */
function valuesOf(log: string, tag: string): number {
  let count = 0;
  for (const interval of readHlog(log, assert.fail)) if (interval.tag === tag) count += interval.histogram.totalCount;
  return count;
}

/** A run that has begun to load, and all of its processes. */
async function running(name: string): Promise<{ program: Program; own: string; children: number[] }> {
  const { program, own } = bench(name, ...LONG, "--out", join(directory, "none"));
  await until("the load begins", () => program.stderr().includes("64 connections") || program.outcome !== null);
  assert.equal(program.outcome, null, program.stderr());
  const children = await until("mock, supervisor and worker run", () => {
    const [, ...all] = withDescendants([program.pid]);
    return all.length >= 3 ? all : null;
  });
  return { program, own, children };
}

test("Ctrl-C ends all processes and removes what was put aside", async () => {
  const { program, own, children } = await running("interrupted");
  program.signal("SIGINT");
  assert.equal(await program.end(), 1);
  assert.match(program.stderr(), /ended by SIGINT/);
  assert.deepEqual(children.filter(isAlive), []);
  assert.deepEqual(readdirSync(own), []);
});

test("a runner that is killed takes its processes along", async () => {
  const { program, children } = await running("killed");
  program.signal("SIGKILL");
  assert.equal(await program.end(), "SIGKILL");
  await until("all of them have ended", () => children.every((pid) => !isAlive(pid)));
});

const refusals: readonly [options: readonly string[], said: RegExp][] = [
  [["--scenario", "endless"], /no scenario endless; there are /],
  [["--peers", "ngnix"], /no peer "ngnix"/],
  [["--against", "/nowhere"], /ENOENT[\s\S]*\/nowhere/],
  [["--rounds", "many"], /--rounds takes a number/],
];

for (const [options, said] of refusals) {
  test(`${options.join(" ")} is refused before anything starts`, async () => {
    const { program, own } = bench("refused", ...options, "--out", join(directory, "none"));
    assert.equal(await program.end(), 1);
    assert.match(program.stderr(), said);
    assert.deepEqual(readdirSync(own), []);
  });
}

test("--list names every scenario", async () => {
  const { program } = bench("list", "--list");
  assert.equal(await program.end(), 0);
  assert.match(program.stdout(), /^saturation +short +64 connections, saturated$/m);
});
