/**
 * When a canary is rolled back: bad ones within a bounded number of requests, good ones not by chance. Over many seeds, with requests and latencies
 * drawn as they come, looked at as the supervisor does; the seed is in every message.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { ARM_WORDS } from "../../src/base/limits.ts";
import type { RollbackRules } from "../../src/config/snapshot.ts";
import { ARM_AT, ARM_LATENCIES, armLatencyMs, armLatencyOf } from "../../src/shm/arms.ts";
import { type CanaryVerdict, judge, type Side } from "../../src/supervisor/canary-verdict.ts";
import { CanaryWindow } from "../../src/supervisor/canary-window.ts";
import { chanceOfHits, chanceOfShare } from "../../src/supervisor/chances.ts";
import { Random } from "../fuzz/random.ts";

const RULES: RollbackRules = { errorPercent: 2, latencyPercent: 150, percentile: 95, requests: 100, windowMs: 300_000 };
const PERCENT = 5;
const SEEDS = 60;
/** Requests of a second, of both sides. */
const RATE = 100;

interface Behaviour {
  readonly errors: number;
  /** Median; of a log-normal distribution, as times of answers are. */
  readonly medianMs: number;
  readonly spread: number;
}

const GOOD: Behaviour = { errors: 0.01, medianMs: 400, spread: 0.6 };

function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.unit())) * Math.cos(2 * Math.PI * random.unit());
}

function add(words: Int32Array, { errors, medianMs, spread }: Behaviour, random: Random): void {
  words[ARM_AT.judged] = (words[ARM_AT.judged] ?? 0) + 1;
  const ms = medianMs * Math.exp(spread * normal(random));
  const at = random.chance(errors) ? ARM_AT.failed : ARM_AT.latencies + armLatencyOf(ms);
  words[at] = (words[at] ?? 0) + 1;
}

interface Outcome {
  readonly verdict: CanaryVerdict | null;
  /** Of the canary, until then. */
  readonly requests: number;
}

function run(seed: number, canary: Behaviour, seconds: number, stable: Behaviour = GOOD): Outcome {
  const random = new Random(seed);
  const words = { stable: new Int32Array(ARM_WORDS), canary: new Int32Array(ARM_WORDS) };
  const window = new CanaryWindow(words.stable, words.canary, RULES.windowMs, 0);
  for (let second = 1; second <= seconds; second += 1) {
    for (let i = 0; i < RATE; i += 1) {
      if (random.chance(PERCENT / 100)) add(words.canary, canary, random);
      else add(words.stable, stable, random);
    }
    const sides = window.sides(second * 1_000);
    const verdict = judge(sides.stable, sides.canary, RULES);
    if (verdict !== null) return { verdict, requests: words.canary[ARM_AT.judged] ?? 0 };
  }
  return { verdict: null, requests: words.canary[ARM_AT.judged] ?? 0 };
}

function seeds(): number[] {
  return Array.from({ length: SEEDS }, (_, i) => i + 1);
}

/** All seeds roll it back for this reason, after so many of its requests at most. */
function isRolledBack(name: string, canary: Behaviour, reason: string, requestsMax: number, stable?: Behaviour): void {
  test(`${name} is rolled back by ${requestsMax} of its requests`, () => {
    for (const seed of seeds()) {
      const { verdict, requests } = run(seed, canary, 600, stable);
      equal(verdict?.reason, reason, `seed ${seed}`);
      ok(requests <= requestsMax, `seed ${seed}: after ${requests} requests`);
    }
  });
}

isRolledBack("a canary that always fails", { ...GOOD, errors: 1 }, "errors", 120);
isRolledBack("a canary with ten times the errors", { ...GOOD, errors: 0.1 }, "errors", 450);
isRolledBack("a canary that takes three times as long", { ...GOOD, medianMs: 1_200 }, "latency", 200);
isRolledBack(
  "a canary that takes three times as long where times hardly differ",
  { ...GOOD, medianMs: 1_200, spread: 0.1 },
  "latency",
  120,
  { ...GOOD, spread: 0.1 },
);

function isKept(name: string, canary: Behaviour, stable: Behaviour, seconds: number): void {
  test(`${name} is not rolled back: ${SEEDS} times ${seconds} s, ${RATE} requests each`, () => {
    for (const seed of seeds()) {
      const { verdict } = run(seed, canary, seconds, stable);
      equal(verdict, null, `seed ${seed}: ${JSON.stringify(verdict)}`);
    }
  });
}

isKept("a canary that is as good", GOOD, GOOD, 900);
isKept("a canary that fails as often as a poor stable side", { ...GOOD, errors: 0.3 }, { ...GOOD, errors: 0.3 }, 300);
isKept("a canary whose times vary as wildly", { ...GOOD, spread: 1.5 }, { ...GOOD, spread: 1.5 }, 300);
isKept("a canary that is a little slower", { ...GOOD, medianMs: 500 }, GOOD, 300);
isKept("a canary that is better", { errors: 0, medianMs: 200, spread: 0.3 }, GOOD, 300);

function sideOf(judged: number, failed: number, ms: number): Side {
  const latencies = new Uint32Array(ARM_LATENCIES);
  latencies[armLatencyOf(ms)] = judged - failed;
  return { judged, failed, latencies };
}

test("nothing is decided before either side has the requests that the rules want", () => {
  equal(judge(sideOf(2_000, 0, 100), sideOf(99, 99, 100), RULES), null);
  equal(judge(sideOf(99, 0, 100), sideOf(2_000, 2_000, 100), RULES), null);
  equal(judge(sideOf(100, 0, 100), sideOf(100, 100, 100), RULES)?.reason, "errors");
});

test("a difference that the rules allow is none, however sure it is", () => {
  equal(judge(sideOf(1e6, 0, 100), sideOf(1e6, 19_999, 100), RULES), null);
  equal(judge(sideOf(1e6, 0, 100), sideOf(1e6, 20_100, 100), RULES)?.reason, "errors");
  equal(judge(sideOf(1e6, 0, 1_000), sideOf(1e6, 0, 1_400), RULES), null);
  equal(judge(sideOf(1e6, 0, 1_000), sideOf(1e6, 0, 1_700), RULES)?.reason, "latency");
});

test("a stable side that fails as well says nothing about a canary", () => {
  equal(judge(sideOf(1_900, 1_900, 1), sideOf(100, 100, 1), RULES), null);
});

test("the window forgets what is older", () => {
  const [stable, canary] = [new Int32Array(ARM_WORDS), new Int32Array(ARM_WORDS)];
  const window = new CanaryWindow(stable, canary, 1_000, 0);
  canary[ARM_AT.judged] = 7;
  for (let atMs = 50; atMs <= 1_000; atMs += 50) equal(window.sides(atMs).canary.judged, 7);
  canary[ARM_AT.judged] = 8;
  equal(window.sides(1_060).canary.judged, 1);
});

test("a window that is begun anew knows nothing of before", () => {
  const [stable, canary] = [new Int32Array(ARM_WORDS), new Int32Array(ARM_WORDS)];
  const window = new CanaryWindow(stable, canary, 1_000, 0);
  canary[ARM_AT.judged] = 7;
  equal(window.sides(100).canary.judged, 7);
  window.begin(200);
  equal(window.sides(300).canary.judged, 0);
});

test("counts that go round are the same to a window", () => {
  const [stable, canary] = [new Int32Array(ARM_WORDS), new Int32Array(ARM_WORDS)];
  stable[ARM_AT.failed] = -1;
  const window = new CanaryWindow(stable, canary, 1_000, 0);
  stable[ARM_AT.failed] = 2;
  equal(window.sides(10).stable.failed, 3);
});

test("chances are exact", () => {
  const near = (value: number, expected: number) =>
    ok(Math.abs(value - expected) <= expected * 1e-9, `${value} instead of ${expected}`);
  near(chanceOfHits(10, 10, 0.5), 1 / 1_024);
  near(chanceOfHits(3, 2, 0.25), 10 / 64);
  near(chanceOfHits(100, 0, 0.3), 1);
  // 3 of 4 red ones among 4 drawn of 8: (4*4 + 1) / 70.
  near(chanceOfShare(4, 3, 8, 4), 17 / 70);
  near(chanceOfShare(5, 0, 10, 5), 1);
});

test("the steps of latencies are 4.5 % wide, and cover a quarter of an hour", () => {
  deepEqual([armLatencyOf(0), armLatencyOf(Number.NaN), armLatencyOf(1)], [0, 0, 0]);
  for (let ms = 1.1; ms < 1e6; ms *= 1.01) {
    const index = armLatencyOf(ms);
    ok(
      (armLatencyMs(index) <= ms &&
        ms < armLatencyMs(index + 1) &&
        armLatencyMs(index + 1) <= armLatencyMs(index) * 1.05) ||
        index === 0,
      `${ms}`,
    );
  }
  equal(armLatencyOf(1e9), ARM_LATENCIES - 1);
});
