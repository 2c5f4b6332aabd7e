/** Parts of the runner that decide something: where programs run, what an answer must be, how many requests were in a time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { noiseOf } from "../../native-bench/runner/calibration.ts";
import { agreementOf } from "../../native-bench/runner/generator-check.ts";
import { countBetween } from "../../native-bench/runner/look.ts";
import { parseOptions } from "../../native-bench/runner/options.ts";
import { choosePinning, parseCpuList } from "../../native-bench/runner/pinning.ts";
import { type Answer, contentOf, difference, expectation } from "../../native-bench/runner/probe.ts";
import { textTable } from "../../native-bench/runner/text-table.ts";

test("a contestant never shares a CPU with the load or the mock", () => {
  assert.deepEqual(pins([0, 1]), ["0", "0", "1"]);
  assert.deepEqual(pins([0, 1, 2]), ["0", "1", "2"]);
  assert.deepEqual(pins([4, 5, 8, 9]), ["4", "5", "8,9"]);
});

test("nothing is pinned on one CPU, or with more workers than CPUs for them, and the reason is told", () => {
  assert.deepEqual(pins([3]), [null, null, null]);
  assert.match(choosePinning([3], 1).reason, /not pinned: there is one CPU only/);
  assert.match(choosePinning([0, 1], 2).reason, /not pinned: 2 workers/);
  assert.equal(choosePinning([0, 1], 2).contestant, null);
  assert.equal(choosePinning([0, 1, 2, 3], 2).contestant, "2,3");
});

function pins(cpus: readonly number[]): (string | null)[] {
  const { load, mock, contestant } = choosePinning(cpus, 1);
  return [load, mock, contestant];
}

test("lists of CPUs are read as the kernel writes them", () => {
  assert.deepEqual(parseCpuList("0-2,5"), [0, 1, 2, 5]);
  assert.deepEqual(parseCpuList("7"), [7]);
});

const WHOLE: Answer = { status: 200, isStream: false, body: '{"choices":[{"message":{"content":"Hi there"}}]}' };
const STREAM: Answer = {
  status: 200,
  isStream: true,
  body: ['{"choices":[{"delta":{"content":"Hi"}}]}', '{"choices":[{"delta":{"content":" there"}}]}', "[DONE]"]
    .map((data) => `data: ${data}\n\n`)
    .join(""),
};

test("the content of an answer is its text, whole or in events", () => {
  assert.equal(contentOf(WHOLE), "Hi there");
  assert.equal(contentOf(STREAM), "Hi there");
});

test("a contestant may answer with other bytes, but not with another status, kind or content", () => {
  const longer = { ...WHOLE, body: WHOLE.body.replace("{", '{"id":"1",') };
  assert.equal(difference(WHOLE, longer), null);
  assert.match(difference(WHOLE, { ...WHOLE, status: 401 }) ?? "", /answers 401/);
  assert.match(difference(STREAM, WHOLE) ?? "", /without a stream/);
  assert.match(difference(WHOLE, { ...WHOLE, body: WHOLE.body.replace("Hi", "Ho") }) ?? "", /other content/);
});

test("bytes are expected where two answers have the same, events where they have as many", () => {
  assert.deepEqual(expectation(WHOLE, WHOLE), {
    status: 200,
    kind: "whole",
    bytes: 48,
    crc32: "90cf7994",
    events: null,
  });
  const other = { ...WHOLE, body: WHOLE.body.replace("{", '{"id":"1",') };
  assert.deepEqual(expectation(WHOLE, other), { status: 200, kind: "whole", bytes: null, crc32: null, events: null });
  assert.equal(expectation(STREAM, STREAM).events, 3);
  const longer = { ...STREAM, body: `data: {"choices":[]}\n\n${STREAM.body}` };
  assert.equal(expectation(STREAM, longer).events, null);
});

test("values of some metrics are counted between two moments, and in part where an interval is", () => {
  const at = (startMs: number, count: number, metric = "total") => ({
    type: "interval" as const,
    metric,
    startMs,
    endMs: startMs + 100,
    counts: [[7, count] as [number, number]],
  });
  const intervals = [at(0, 10), at(100, 20), at(100, 3, "ttft"), at(100, 100, "gap"), at(200, 40)];
  const totals = new Set(["total"]);
  assert.equal(countBetween(intervals, totals, 100, 200), 20);
  assert.equal(countBetween(intervals, totals, 50, 250), 5 + 20 + 20);
  assert.equal(countBetween(intervals, totals, 300, 400), 0);
  assert.equal(countBetween(intervals, new Set(["total", "ttft", "gap"]), 100, 150), (20 + 3 + 100) / 2);
});

test("noise is how much longer the same work took at one time than at another", () => {
  assert.equal(noiseOf([100, 105, 100]).isNoisy, false);
  const { spread, isNoisy } = noiseOf([100, 150, 120]);
  assert.deepEqual({ spread, isNoisy }, { spread: 0.5, isNoisy: true });
});

test("generators agree within 5 %, by the median over the rounds", () => {
  assert.equal(agreementOf([104, 50, 104], [100, 100, 100]).agrees, true);
  assert.equal(agreementOf([94, 94, 100], [100, 100, 100]).agrees, false);
});

const wrongOptions: readonly [argv: readonly string[], said: RegExp][] = [
  [["--rounds", "0"], /--rounds takes a number from 1/],
  [["--rounds", "1.5"], /whole number/],
  [["--seconds", "x"], /--seconds takes a number/],
  [["--seconds", ""], /--seconds takes a number/],
  [["--without", "direct"], /direct is always part/],
  [["--list", "--flame"], /do not go together/],
  [["--bars", "--workers", "1"], /--bars and --workers do not go together/],
  [["--bars", "--scenario", "churn", "--full"], /--bars and --full, --scenario do not/],
  [["--bars", "--workers", "1"], /--bars and --workers do not go together/],
  [["--bars", "--scenario", "churn", "--full"], /--bars and --full, --scenario do not/],
  [["--sceanrio", "x"], /Unknown option/],
  [["saturation"], /Unexpected argument/],
];

for (const [argv, said] of wrongOptions) {
  test(`${argv.join(" ")} is refused`, () => {
    assert.throws(() => parseOptions(argv), said);
  });
}

test("scenarios and contestants are named with commas or one by one", () => {
  const { scenarios, peers, rounds } = parseOptions([
    "--scenario",
    "a,b",
    "--scenario",
    "c",
    "--peers",
    "nginx, ferro",
  ]);
  assert.deepEqual({ scenarios, peers, rounds }, { scenarios: ["a", "b", "c"], peers: ["nginx", "ferro"], rounds: 3 });
});

test("columns are as wide as their widest text", () => {
  assert.equal(
    textTable(
      ["", "n"],
      [
        ["one", "1"],
        ["two", "22"],
      ],
    ),
    "      n\none   1\ntwo  22",
  );
});
