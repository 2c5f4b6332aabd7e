/** The comparison of two runs: its false alarms and what it finds, on simulated noisy machines. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import {
  COMPARISON_DEFAULTS,
  type ComparisonOptions,
  compare,
  PERCENTILES,
  type TagComparison,
  type Verdict,
} from "../../src/telemetry/hdr/comparison.ts";
import { noiseLimits } from "../../src/telemetry/hdr/false-alarms.ts";
import { newHistogram } from "../../src/telemetry/hdr/histogram.ts";
import { chanceOfNoise, differenceOf, studentTails } from "../../src/telemetry/hdr/noise.ts";
import { Recording } from "../../src/telemetry/hdr/recording.ts";
import { Random } from "../fuzz/random.ts";
import { type NoisyRun, noisyRun } from "../support/noisy-run.ts";

/** Of a benchmark's short set: the tags of one contestant, on two shared cores. */
const SHORT: NoisyRun = {
  tags: ["s1/sluice/total", "s2/sluice/total", "s3/sluice/total", "s4/sluice/total"],
  rounds: 3,
  secondsPerRound: 2,
  medianUs: 300,
  betweenRuns: 0.03,
  betweenRounds: 0.06,
  slow: 0.12,
  disturbed: 0,
};

function has(tags: readonly TagComparison[], verdicts: readonly Verdict[]): boolean {
  return tags.some(({ changes }) => changes.some(({ verdict }) => verdicts.includes(verdict)));
}

/** Of `pairs` pairs of runs, how many differ in either direction, and how many of them are worse. */
function outcomes(seed: number, pairs: number, run: NoisyRun, addedUs: number): { differ: number; worse: number } {
  const random = new Random(seed);
  let [differ, worse] = [0, 0];
  for (let i = 0; i < pairs; i++) {
    const [first, second] = [noisyRun(random, run, () => 0), noisyRun(random, run, () => addedUs)];
    const tags = compare(first, second, COMPARISON_DEFAULTS);
    differ += Number(has(tags, ["worse", "better"]));
    worse += Number(has(tags, ["worse"]));
  }
  return { differ, worse };
}

test("two runs of the same hardly ever differ", () => {
  ok(outcomes(1, 60, SHORT, 0).differ <= 2);
  ok(outcomes(2, 30, { ...SHORT, rounds: 5, betweenRounds: 0.1 }, 0).differ <= 1);
  ok(outcomes(3, 30, { ...SHORT, rounds: 1, secondsPerRound: 10 }, 0).differ <= 1);
  ok(outcomes(8, 30, { ...SHORT, rounds: 5, disturbed: 0.1 }, 0).differ <= 1);
});

test("200 us more on a path of 300 to 450 us are found", () => {
  ok(outcomes(4, 40, SHORT, 200).worse >= 34);
  equal(outcomes(5, 20, { ...SHORT, rounds: 5 }, 200).worse, 20);
});

test("a round in which somebody else had the machine does not hide a change", () => {
  const disturbed = { ...SHORT, rounds: 5, disturbed: 0.1 };
  ok(outcomes(9, 20, disturbed, 200).worse >= 18);
});

test("a machine that is slower for the control as well is not a change", () => {
  const run: NoisyRun = { ...SHORT, tags: ["s/direct/total", "s/sluice/total"], betweenRounds: 0.01, slow: 0 };
  const slower: NoisyRun = { ...run, medianUs: 450 };
  const random = new Random(6);
  const [first, second] = [noisyRun(random, run, () => 0), noisyRun(random, slower, () => 0)];
  const verdicts = (options: ComparisonOptions) =>
    compare(first, second, options).map(({ changes }) => changes[0]?.verdict);
  deepEqual(verdicts(COMPARISON_DEFAULTS), ["control", "same"]);
  deepEqual(verdicts({ ...COMPARISON_DEFAULTS, controlOf: () => undefined }), ["worse", "worse"]);
});

test("a change of the contestant alone is one although there is a control", () => {
  const run: NoisyRun = { ...SHORT, tags: ["s/direct/total", "s/sluice/total"], betweenRounds: 0.02, rounds: 5 };
  const random = new Random(7);
  const first = noisyRun(random, run, () => 0);
  const second = noisyRun(random, run, (tag) => (tag === "s/direct/total" ? 0 : 200));
  equal(compare(first, second, COMPARISON_DEFAULTS)[1]?.changes[0]?.verdict, "worse");
  equal(compare(second, first, COMPARISON_DEFAULTS)[1]?.changes[0]?.verdict, "better");
});

/** Three rounds without any noise, of so many values each. */
function calm(valueNs: number, values: number, rounds = 3): Recording {
  const recording = new Recording();
  for (let round = 0; round < rounds; round++) {
    const histogram = newHistogram();
    histogram.recordValueWithCount(valueNs, values);
    recording.add({ tag: "t", startMs: round * 10_000, endMs: round * 10_000 + 1_000, histogram });
  }
  return recording;
}

function verdictsOf(first: Recording, second: Recording, options = COMPARISON_DEFAULTS): (Verdict | undefined)[] {
  return compare(first, second, options)[0]?.changes.map(({ verdict }) => verdict) ?? [];
}

test("a difference that does not matter is no change, however certain", () => {
  equal(verdictsOf(calm(1_000_000, 1_000), calm(1_040_000, 1_000))[0], "same");
  equal(verdictsOf(calm(1_000_000, 1_000), calm(1_140_000, 1_000))[0], "worse");
  equal(verdictsOf(calm(100_000, 1_000), calm(115_000, 1_000))[0], "same");
  equal(verdictsOf(calm(100_000, 1_000), calm(125_000, 1_000))[0], "worse");
  const strict = { ...COMPARISON_DEFAULTS, relativeMin: 0.3 };
  equal(verdictsOf(calm(100_000, 1_000), calm(125_000, 1_000), strict)[0], "same");
});

test("a percentile with too few values behind it, and the largest value, are never judged", () => {
  const verdicts = verdictsOf(calm(100_000, 334), calm(900_000, 334));
  deepEqual(verdicts, ["worse", "worse", "worse", "worse", "worse", "few", "few", "few", "max"]);
});

test("runs of one interval have no noise to judge by", () => {
  equal(verdictsOf(calm(100_000, 1_000, 1), calm(900_000, 1_000, 1))[0], "unknown");
});

test("values and counts of the comparison are those of the whole runs", () => {
  const [tag] = compare(calm(100_000, 1_000), calm(200_000, 2_000, 4), COMPARISON_DEFAULTS);
  deepEqual([tag?.firstCount, tag?.secondCount, tag?.rounds], [3_000, 8_000, [3, 4]]);
  deepEqual(
    tag?.changes.map(({ percentile }) => percentile),
    [...PERCENTILES, 100],
  );
  for (const change of tag?.changes ?? []) {
    ok(Math.abs(change.firstNs - 100_000) < 100);
    ok(Math.abs(change.secondNs - 200_000) < 200);
  }
});

test("a gap in the times begins a round, also between files, and a long stretch has several", () => {
  const recording = new Recording();
  const histogram = newHistogram();
  histogram.recordValue(1);
  for (const startMs of [0, 1_000, 2_000, 9_000, 10_000, 500, 1_500])
    recording.add({ tag: "t", startMs, endMs: startMs + 1_000, histogram });
  deepEqual(
    recording.tracks.get("t")?.rounds.map(({ length }) => length),
    [3, 2, 2],
  );
});

test("a long stretch and many rounds stay bounded and lose no count", () => {
  const recording = new Recording();
  const histogram = newHistogram();
  histogram.recordValue(5_000_000);
  for (let i = 0; i < 500; i++) {
    recording.add({ tag: "long", startMs: i * 1_000, endMs: (i + 1) * 1_000, histogram });
    recording.add({ tag: "gaps", startMs: i * 10_000, endMs: i * 10_000 + 1_000, histogram });
  }
  for (const { rounds } of recording.tracks.values()) {
    ok(rounds.length <= 64 && rounds.every(({ length }) => length <= 64));
    equal(sum(rounds.flat().flatMap((segment) => [...segment.values()])), 500);
  }
});

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

test("Student's t has the tails of the tables", () => {
  const table: [t: number, freedom: number, tails: number][] = [
    [12.706, 1, 0.05],
    [4.303, 2, 0.05],
    [5.841, 3, 0.01],
    [8.61, 4, 0.001],
    [4.032, 5, 0.01],
    [4.587, 10, 0.001],
    [2.042, 30, 0.05],
  ];
  for (const [t, freedom, tails] of table)
    ok(Math.abs(studentTails(t, freedom) / tails - 1) < 0.005, `${t} ${freedom}`);
  equal(studentTails(0, 7), 1);
});

test("noise is that between rounds, and one round of one block each knows none", () => {
  const calmRounds = [
    [1, 1.01],
    [1.01, 1],
    [1, 1.01],
  ];
  const far = calmRounds.map((round) => round.map((value) => value + 1));
  const wild = [
    [0, 0],
    [2, 2],
    [1, 1],
  ];
  ok(chanceOfNoise(differenceOf(calmRounds, far, 1e-9)) < 1e-4);
  ok(chanceOfNoise(differenceOf(wild, far, 1e-9)) > 0.01);
  equal(chanceOfNoise(differenceOf([[1]], [[9]], 1e-9)), 1);
});

test("of many tags each has to be surer, and the percentiles of a tag help each other", () => {
  deepEqual(noiseLimits([[0.009]], 0.01), [0.009]);
  deepEqual(noiseLimits([[0.009], [0.5]], 0.01), [-1, -1]);
  deepEqual(noiseLimits([[0.004], [0.009], []], 0.01), [0.004, 0.009, -1]);
  deepEqual(noiseLimits([[0.009, 0.008, 0.007]], 0.01), [0.009]);
  deepEqual(noiseLimits([[0.009, 0.5, 0.6]], 0.01), [-1]);
});
