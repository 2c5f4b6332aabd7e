/** What is known of a target's waits: a percentile within a fifth, not before enough are known, and the newer ones count. */
import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { HEDGE_SAMPLES_MIN, TARGET_WORDS } from "../../src/base/limits.ts";
import { noteWait, waitAt } from "../../src/pipeline/waits.ts";
import { TARGET_AT } from "../../src/shm/targets.ts";
import { Random } from "../fuzz/random.ts";

const AT = TARGET_AT.streamWaits;
const newSlot = () => new Int32Array(TARGET_WORDS);

test("nothing is known before there are enough", () => {
  const slot = newSlot();
  for (let i = 1; i < HEDGE_SAMPLES_MIN; i += 1) noteWait(slot, AT, 10);
  strictEqual(waitAt(slot, AT, 95), Infinity);
  noteWait(slot, AT, 10);
  ok(waitAt(slot, AT, 95) >= 10 && waitAt(slot, AT, 95) <= 12);
});

test("the percentile is not below the true one, and at most a fifth above, for any seed", () => {
  for (let seed = 1; seed <= 100; seed += 1) {
    const random = new Random(seed);
    const slot = newSlot();
    const all = Array.from({ length: 900 }, () => 1 + random.unit() ** 4 * 60_000);
    for (const one of all) noteWait(slot, AT, one);
    const exact = all.toSorted((x, y) => x - y)[Math.ceil(0.95 * all.length) - 1] ?? 0;
    const told = waitAt(slot, AT, 95);
    ok(told >= exact * 0.999 && told <= exact * 1.2, `seed ${seed}: ${told}, and exactly ${exact}`);
  }
});

test("a target that becomes slower is known as that after a while, and so is one that becomes faster", () => {
  const slot = newSlot();
  for (const ms of [10, 1_000, 10]) {
    for (let i = 0; i < 12_000; i += 1) noteWait(slot, AT, ms);
    ok(waitAt(slot, AT, 95) >= ms && waitAt(slot, AT, 95) <= 1.2 * ms, `${ms}: ${waitAt(slot, AT, 95)}`);
  }
});

test("what takes no time, or for ever, is counted too", () => {
  const slot = newSlot();
  for (let i = 0; i < 100; i += 1) noteWait(slot, AT, i < 50 ? 0 : Number.MAX_SAFE_INTEGER);
  ok(waitAt(slot, AT, 40) <= 2);
  ok(waitAt(slot, AT, 95) > 600_000);
});
