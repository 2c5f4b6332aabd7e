/** The retry budget: a share of the last ten seconds, a few in any case, and never more over any ten seconds. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { RETRY_BUDGET_WORDS } from "../../src/base/limits.ts";
import { noteRequest, takeOne } from "../../src/pipeline/retry-budget.ts";
import { Random } from "../fuzz/random.ts";

const newBudget = () => new Int32Array(RETRY_BUDGET_WORDS);

function takeAll(budget: Int32Array, nowMs: number, percent: number, min: number): number {
  let taken = 0;
  while (taken < 1_000 && takeOne(budget, nowMs, percent, min)) taken += 1;
  return taken;
}

test("a few in any case, and then a share of the requests", () => {
  const budget = newBudget();
  strictEqual(takeAll(budget, 1e6, 20, 3), 3);
  for (let i = 0; i < 100; i += 1) noteRequest(budget, 1e6);
  strictEqual(takeAll(budget, 1e6, 20, 3), 17);
});

test("what is ten seconds old counts no more, also after a long silence", () => {
  const budget = newBudget();
  for (let i = 0; i < 100; i += 1) noteRequest(budget, 500);
  deepStrictEqual([takeAll(budget, 9_900, 10, 0), takeAll(budget, 10_100, 10, 0)], [10, 0]);
  for (let i = 0; i < 50; i += 1) noteRequest(budget, 1e9);
  strictEqual(takeAll(budget, 1e9 + 5_000, 10, 0), 5);
});

test("none where both are nothing", () => {
  strictEqual(takeAll(newBudget(), 1, 0, 0), 0);
});

test("when one is given, those of ten seconds are within the share of their requests, for any seed", () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const random = new Random(seed);
    const budget = newBudget();
    const requests: number[] = [];
    const retries: number[] = [];
    let nowMs = 0;
    for (let i = 0; i < 2_000; i += 1) {
      nowMs += random.below(random.chance(0.01) ? 9_000 : 40);
      const recent = (ats: readonly number[]) =>
        ats.filter((at) => Math.floor(at / 1e3) > Math.floor(nowMs / 1e3) - 10).length;
      requests.push(nowMs);
      noteRequest(budget, nowMs);
      if (!random.chance(0.6) || !takeOne(budget, nowMs, 20, 5)) continue;
      retries.push(nowMs);
      ok(recent(retries) <= Math.max(5, recent(requests) * 0.2) + 1, `seed ${seed}, step ${i}`);
    }
    ok(retries.length > 100, `seed ${seed}: the budget lets nothing through`);
  }
});
