/** What is known of a target's waits: a percentile within a fifth, not before enough are known, and the newer ones count. */
import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { HEDGE_SAMPLES_MIN } from "../../src/base/limits.ts";
import { newWaits, noteWait, waitAt } from "../../src/pipeline/waits.ts";
import { Random } from "../fuzz/random.ts";

test("nothing is known before there are enough", () => {
  const waits = newWaits();
  for (let i = 1; i < HEDGE_SAMPLES_MIN; i += 1) noteWait(waits, 10);
  strictEqual(waitAt(waits, 95), Infinity);
  noteWait(waits, 10);
  ok(waitAt(waits, 95) >= 10 && waitAt(waits, 95) <= 12);
});

test("the percentile is not below the true one, and at most a fifth above, for any seed", () => {
  for (let seed = 1; seed <= 100; seed += 1) {
    const random = new Random(seed);
    const waits = newWaits();
    const all = Array.from({ length: 900 }, () => 1 + random.unit() ** 4 * 60_000);
    for (const one of all) noteWait(waits, one);
    const exact = all.toSorted((x, y) => x - y)[Math.ceil(0.95 * all.length) - 1] ?? 0;
    const told = waitAt(waits, 95);
    ok(told >= exact * 0.999 && told <= exact * 1.2, `seed ${seed}: ${told}, and exactly ${exact}`);
  }
});

test("a target that becomes slower is known as that after a while, and so is one that becomes faster", () => {
  const waits = newWaits();
  for (const ms of [10, 1_000, 10]) {
    for (let i = 0; i < 12_000; i += 1) noteWait(waits, ms);
    ok(waitAt(waits, 95) >= ms && waitAt(waits, 95) <= 1.2 * ms, `${ms}: ${waitAt(waits, 95)}`);
  }
});

test("what takes no time, or for ever, is counted too", () => {
  const waits = newWaits();
  for (let i = 0; i < 100; i += 1) noteWait(waits, i < 50 ? 0 : Number.MAX_SAFE_INTEGER);
  ok(waitAt(waits, 40) <= 2);
  ok(waitAt(waits, 95) > 600_000);
});
