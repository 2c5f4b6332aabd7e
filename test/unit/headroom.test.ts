/** What is left of a provider's limits: by its answers, less what was sent since; full again at the reset. Time is the test's. */
import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { HEADROOM_RESET_MS_DEFAULT, HEADROOM_RESET_MS_MAX, TARGET_WORDS } from "../../src/base/limits.ts";
import { headroom, leaveAlone, report, spend, UNTOLD } from "../../src/pipeline/headroom.ts";
import { tickAfter } from "../../src/pipeline/machine-ticks.ts";
import { TARGET_AT } from "../../src/shm/targets.ts";
import { Random } from "../fuzz/random.ts";

const { requests: REQUESTS, tokens: TOKENS } = TARGET_AT;
const NOW = 2 ** 31 - 100;
const SEEDS = 200;

function slotOf(): Int32Array {
  return new Int32Array(TARGET_WORDS);
}

function said(limit: number, remaining: number, resetMs = 10_000) {
  return { limit, remaining, resetMs };
}

test("a provider that says nothing is not known, and the smaller of its limits counts", () => {
  const slot = slotOf();
  strictEqual(headroom(slot, 10, NOW), UNTOLD);
  report(slot, REQUESTS, said(100, 80), spend(slot, REQUESTS, 1), NOW);
  strictEqual(headroom(slot, 10, NOW), 0.8);
  report(slot, TOKENS, said(1_000, 500), spend(slot, TOKENS, 10), NOW);
  strictEqual(headroom(slot, 10, NOW), 0.5);
});

test("what was sent after the request of the last answer is taken off, and nothing that was before it", () => {
  const slot = slotOf();
  spend(slot, REQUESTS, 7);
  const mark = spend(slot, REQUESTS, 1);
  spend(slot, REQUESTS, 20);
  report(slot, REQUESTS, said(100, 90), mark, NOW);
  strictEqual(headroom(slot, 0, NOW), 0.7);
});

test("the answer to an earlier request that comes later changes nothing", () => {
  const slot = slotOf();
  const earlier = spend(slot, REQUESTS, 1);
  const later = spend(slot, REQUESTS, 1);
  report(slot, REQUESTS, said(100, 50), later, NOW);
  report(slot, REQUESTS, said(100, 51), earlier, NOW);
  strictEqual(headroom(slot, 0, NOW), 0.5);
});

test("nothing is left below what a request needs, until the reset; then all of it is", () => {
  const slot = slotOf();
  report(slot, TOKENS, said(1_000, 99, 5_000), spend(slot, TOKENS, 1), NOW);
  strictEqual(headroom(slot, 100, NOW), 0);
  strictEqual(headroom(slot, 99, NOW), 0.099);
  strictEqual(headroom(slot, 100, tickAfter(NOW, 4_900)), 0);
  strictEqual(headroom(slot, 100, tickAfter(NOW, 5_000)), 1);
  spend(slot, TOKENS, 950);
  strictEqual(headroom(slot, 100, tickAfter(NOW, 5_100)), 0);
});

test("a limit that nobody says anything of any more comes back by itself, again and again", () => {
  const slot = slotOf();
  report(slot, REQUESTS, said(10, 0, -1), spend(slot, REQUESTS, 1), NOW);
  let at = NOW;
  for (let i = 0; i < 5; i += 1) {
    strictEqual(headroom(slot, 0, at), 0);
    at = tickAfter(at, HEADROOM_RESET_MS_DEFAULT);
    strictEqual(headroom(slot, 0, at), 1);
    for (let sent = 0; sent < 10; sent += 1) spend(slot, REQUESTS, 1);
  }
});

test("a reset that is too far away is not waited for", () => {
  const slot = slotOf();
  report(slot, REQUESTS, said(10, 0, 1e15), spend(slot, REQUESTS, 1), NOW);
  strictEqual(headroom(slot, 0, tickAfter(NOW, HEADROOM_RESET_MS_MAX + 20)), 1);
});

test("a provider that wants to be left alone is", () => {
  const slot = slotOf();
  leaveAlone(slot, 2_000, NOW);
  strictEqual(headroom(slot, 0, NOW), 0);
  strictEqual(headroom(slot, 0, tickAfter(NOW, 2_100)), UNTOLD);
});

test("without a limit, the most that was ever left is one", () => {
  const slot = slotOf();
  report(slot, REQUESTS, said(-1, 40), spend(slot, REQUESTS, 1), NOW);
  strictEqual(headroom(slot, 0, NOW), 1);
  report(slot, REQUESTS, said(-1, 10), spend(slot, REQUESTS, 1), NOW);
  strictEqual(headroom(slot, 0, NOW), 0.25);
});

/** A provider with a bucket of requests, some of which are never answered, and answers that overtake each other. */
test(`over ${SEEDS} runs what is taken to be left is never more than what the provider has`, () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const random = new Random(seed);
    const slot = slotOf();
    slot[REQUESTS + 4] = random.below(2 ** 31) * 2;
    slot[REQUESTS + 3] = slot[REQUESTS + 4] ?? 0;
    let left = 1_000;
    const running: { mark: number; remaining: number }[] = [];
    for (let step = 0; step < 900; step += 1) {
      if (random.chance(0.6)) {
        const mark = spend(slot, REQUESTS, 1);
        left -= 1;
        running.push({ mark, remaining: left });
      } else {
        const [one] = running.splice(random.below(Math.max(1, running.length)), 1);
        if (one === undefined) continue;
        // A worker that dies, a client that leaves: nobody is told.
        if (random.chance(0.1)) continue;
        report(slot, REQUESTS, said(1_000, one.remaining), one.mark, NOW);
      }
      const share = headroom(slot, 0, NOW);
      if (share !== UNTOLD) ok(Math.abs(share * 1_000 - left) < 0.5, `seed ${seed}: ${share * 1_000} of ${left}`);
    }
  }
});
