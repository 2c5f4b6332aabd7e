/** Peak EWMA: rises at once, falls by time, and silence is no news. Time is the test's. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { LATENCY_DECAY_MS, LATENCY_FAILED_MS, LATENCY_TRIAL_MS, TARGET_WORDS } from "../../src/base/limits.ts";
import { ask, latencyMs, observe, observeFailure } from "../../src/pipeline/latency.ts";
import { tickAfter } from "../../src/pipeline/machine-ticks.ts";
import { TARGET_AT } from "../../src/shm/targets.ts";
import { Random } from "../fuzz/random.ts";

const AT = TARGET_AT.whole;
const SEEDS = 200;

/** A target, `now` milliseconds after a time of day that may be close to where ticks begin again. */
class Target {
  readonly slot = new Int32Array(TARGET_WORDS);
  readonly #begin: number;
  nowMs = 0;

  constructor(begin = 12_345) {
    this.#begin = begin;
  }

  get tick(): number {
    return tickAfter(this.#begin, this.nowMs);
  }

  ask(): void {
    ask(this.slot, AT, this.tick);
  }

  observe(ms: number): void {
    observe(this.slot, AT, ms, this.tick);
  }

  get ms(): number {
    return latencyMs(this.slot, AT, this.tick);
  }
}

function near(actual: number, expected: number, what: string): void {
  ok(Math.abs(actual - expected) <= 0.01 * expected + 0.001, `${what}: ${actual} instead of ${expected}`);
}

test("nothing is known of a target that was never asked, and a slower answer counts at once", () => {
  const target = new Target();
  strictEqual(target.ms, 0);
  target.observe(100);
  near(target.ms, 100, "the first");
  target.observe(900);
  near(target.ms, 900, "a peak");
  target.observe(100);
  near(target.ms, 900, "a quicker one behind it");
});

test("a peak falls to 1/e in its time, and not below what is seen", () => {
  const target = new Target();
  target.observe(1_000);
  target.nowMs += LATENCY_DECAY_MS;
  near(target.ms, 1_000 / Math.E, "a while later");
  target.observe(800);
  near(target.ms, 800, "what is seen");
  target.nowMs += 30 * LATENCY_DECAY_MS;
  strictEqual(target.ms, 0);
});

test("a failed try is slow, however fast it failed", () => {
  const target = new Target();
  observeFailure(target.slot, AT, 1, target.tick);
  near(target.ms, LATENCY_FAILED_MS, "fast");
  observeFailure(target.slot, AT, 60_000, target.tick);
  near(target.ms, 60_000, "after a timeout");
});

test("while one request finds out, the others go by what was known, and by how long it takes", () => {
  const target = new Target();
  target.observe(5_000);
  target.nowMs += 4 * LATENCY_DECAY_MS;
  near(target.ms, 5_000 * Math.exp(-4), "nobody asks");
  target.ask();
  near(target.ms, 5_000, "somebody asks");
  target.nowMs += 7_000;
  near(target.ms, 7_000, "no answer yet");
  target.observe(7_000);
  near(target.ms, 7_000, "the answer");
});

test("an unknown target that is being asked is slow until it answers", () => {
  const target = new Target();
  target.ask();
  near(target.ms, LATENCY_FAILED_MS, "asked");
  target.observe(50);
  near(target.ms, 50, "answered");
});

test("one that never answers is asked again, by one request for each trial", () => {
  const target = new Target();
  target.observe(10);
  target.nowMs += 2 * LATENCY_DECAY_MS;
  let tries = 0;
  for (const end = target.nowMs + 10 * LATENCY_TRIAL_MS; target.nowMs < end; target.nowMs += 100) {
    if (target.ms >= 20) continue;
    tries += 1;
    target.ask();
  }
  // Until the wait itself is longer than 20 ms, others may come as well.
  ok(tries >= 9 && tries <= 11, String(tries));
});

test(`of ${SEEDS} orders in which workers tell the same answers, each leaves the same`, () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const random = new Random(seed);
    const seen = Array.from({ length: 20 }, () => ({ atMs: random.below(30_000), ms: 1 + random.below(20_000) }));
    const peakOf = (order: typeof seen) => {
      const target = new Target();
      for (const { atMs, ms } of order) {
        target.nowMs = atMs;
        target.observe(ms);
      }
      return target.slot[AT];
    };
    const shuffled = seen.toSorted(() => random.unit() - 0.5);
    strictEqual(peakOf(shuffled), peakOf(seen.toReversed()), `seed ${seed}`);
  }
});

test("ticks begin again without anybody noticing, and what is left from long ago is unknown", () => {
  const target = new Target(2 ** 31 - 40);
  const seen: number[] = [];
  for (let i = 0; i < 40; i += 1) {
    target.nowMs += 40;
    target.ask();
    target.observe(300);
    seen.push(Math.round(target.ms / 10) * 10);
  }
  deepStrictEqual(new Set(seen), new Set([300]));
  const old = new Target(5);
  old.observe(300);
  old.nowMs += 100 * 24 * 3_600_000;
  strictEqual(old.ms, 0);
});
