/** native-bench/endurance.ts, for two seconds: it looks at all processes, checks the answers, and comes to a verdict. */
import { equal, match } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { before, test } from "node:test";
import { ROOT } from "../support/program.ts";
import { buildPrograms } from "./programs.ts";

const PROGRAM = join(ROOT, "native-bench/endurance.ts");

before(buildPrograms);

function run(...args: readonly string[]) {
  const all = ["--disable-warning=ExperimentalWarning", PROGRAM, ...args];
  return spawnSync(process.execPath, all, { encoding: "utf8", timeout: 120_000 });
}

test("it says what each process holds, and how much that grew", () => {
  const { stdout, stderr } = run("--seconds", "2", "--connections", "20", "--latency-ms", "5");
  equal(stderr, "");
  // The total, then the supervisor and two workers.
  match(stdout, /^0 s +[\d.]+ +[\d.]+( +[\d.]+ \([\d.]+\)){3} +at rest$/m);
  match(stdout, /^requests +[1-9]\d*, \d+ per second, 0 wrong$/m);
  match(stdout, /^growth after settling +-?[\d.]+ MB, anonymous -?[\d.]+ MB$/m);
  match(stdout, /^verdict +it (?:GROWS|does not grow)$/m);
});

test("a number out of bounds is refused", () => {
  const { status, stderr } = run("--seconds", "0");
  equal(status, 1);
  match(stderr, /--seconds takes a whole number from 2 to 86400, not 0/);
});
