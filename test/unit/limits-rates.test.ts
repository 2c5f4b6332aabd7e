/** Rates in the map of limits whose numbers change while something is used of them, and what requests that take long give back. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { native } from "../../src/native/native.ts";
import { LIMIT_ADMITTED, type LimitsMap, prepareLimits } from "../../src/shm/limits.ts";
import { admit, directoryOf, MINUTE_MS, ruleOf, SECOND_MS, ticketOf } from "../support/limits.ts";

const START_MS = 1_800_000_000_000;
const HOUR_MS = 3_600_000;
const LEASE_MS = 10_000;

interface Stage {
  readonly map: LimitsMap;
  readonly key: number;
  /** From now on it is `limit` per period. */
  become(limit: number, periodMs?: number): void;
  /** How many of so many requests are admitted, one after the other. */
  admitted(requests: number): number;
}

function stageOf(context: Parameters<typeof directoryOf>[0], limit: number, quantity: "requests" | "tokens"): Stage {
  const map = prepareLimits(directoryOf(context));
  native.limitsHoldTime(START_MS);
  const become = (next: number, periodMs = MINUTE_MS) =>
    map.configure([ruleOf({ quantity, limit: next, burst: next, periodMs })], LEASE_MS);
  become(limit);
  const key = map.subject("key", "one");
  const tries = (requests: number) => Array.from({ length: requests }, () => admit(map, key));
  return { map, key, become, admitted: (requests) => tries(requests).filter((one) => one === LIMIT_ADMITTED).length };
}

test("of a limit that is raised, what was used stays used, and the rest is there at once", (context) => {
  const stage = stageOf(context, 5, "requests");
  strictEqual(stage.admitted(9), 5);
  stage.become(8);
  strictEqual(stage.admitted(9), 3);
  stage.become(100);
  strictEqual(stage.admitted(200), 92);
});

test("a limit that becomes one of a longer period is not used anew", (context) => {
  const stage = stageOf(context, 100, "requests");
  strictEqual(stage.admitted(100), 100);
  stage.become(100, HOUR_MS);
  strictEqual(stage.admitted(100), 0);
  native.limitsHoldTime(START_MS + SECOND_MS);
  strictEqual(stage.admitted(100), 1);
  // 36 seconds for each, from here on.
  native.limitsHoldTime(START_MS + MINUTE_MS);
  strictEqual(stage.admitted(100), 2);
});

test("of a limit that is lowered, more than all of it is used up, and no more than all", (context) => {
  const stage = stageOf(context, 60, "requests");
  strictEqual(stage.admitted(30), 30);
  stage.become(10);
  strictEqual(stage.admitted(1), 0);
  stage.become(40);
  strictEqual(stage.admitted(40), 10);
});

test("workers before and after a change, side by side, admit no more than the larger limit", (context) => {
  const stage = stageOf(context, 5, "requests");
  strictEqual(stage.admitted(9), 5);
  let admitted = 0;
  for (let turn = 0; turn < 20; turn += 1) {
    stage.become(turn % 2 === 0 ? 8 : 5);
    admitted += stage.admitted(1);
  }
  strictEqual(admitted, 3);
});

test("what is given back after a change is of the limit as it is then", (context) => {
  const stage = stageOf(context, 100, "tokens");
  strictEqual(admit(stage.map, stage.key, { output: 80 }), LIMIT_ADMITTED);
  const ticket = ticketOf(stage.map);
  stage.become(200);
  strictEqual(admit(stage.map, stage.key, { output: 10 }), LIMIT_ADMITTED);
  stage.map.settle(ticket, 0, 20, 0);
  strictEqual(admit(stage.map, stage.key, { output: 171 }) === LIMIT_ADMITTED, false);
  strictEqual(admit(stage.map, stage.key, { output: 170 }), LIMIT_ADMITTED);
});

test("what a rate had regained before is not given back once more, at the expense of what others used since", (context) => {
  const { map, key } = stageOf(context, 1_000, "tokens");
  strictEqual(admit(map, key, { output: 1_000 }), LIMIT_ADMITTED);
  const long = ticketOf(map);
  native.limitsHoldTime(START_MS + MINUTE_MS + SECOND_MS);
  strictEqual(admit(map, key, { output: 1_000 }), LIMIT_ADMITTED);
  map.settle(long, 0, 10, 0);
  // One second gives 16 back.
  native.limitsHoldTime(START_MS + MINUTE_MS + 2 * SECOND_MS);
  deepStrictEqual(
    [17, 16].map((output) => admit(map, key, { output }) === LIMIT_ADMITTED),
    [false, true],
  );
});

test("of a rate that was never full meanwhile, all that was not used is given back, however late", (context) => {
  const { map, key } = stageOf(context, 1_000, "tokens");
  strictEqual(admit(map, key, { output: 1_000 }), LIMIT_ADMITTED);
  const long = ticketOf(map);
  for (let step = 1; step <= 9; step += 1) {
    native.limitsHoldTime(START_MS + (step * MINUTE_MS) / 6);
    strictEqual(admit(map, key, { output: 150 }), LIMIT_ADMITTED);
  }
  // 1,000 and 9 times 150 were taken and 1,500 came back; 900 of what was taken was not used.
  map.settle(long, 0, 100, 0);
  deepStrictEqual(
    [1_001, 1_000].map((output) => admit(map, key, { output }) === LIMIT_ADMITTED),
    [false, true],
  );
});

test("a stream that goes on after its rate was full gives back no more than it took since", (context) => {
  const { map, key } = stageOf(context, 1_000, "tokens");
  strictEqual(admit(map, key, { output: 500 }), LIMIT_ADMITTED);
  const stream = ticketOf(map);
  native.limitsHoldTime(START_MS + MINUTE_MS);
  strictEqual(map.extend(stream, -1, 100, 100, 0), 100);
  strictEqual(admit(map, key, { output: 800 }), LIMIT_ADMITTED);
  // Its provider counts fewer than it seemed to have.
  map.settle(stream, 0, 300, 0);
  deepStrictEqual(
    [201, 200].map((output) => admit(map, key, { output }) === LIMIT_ADMITTED),
    [false, true],
  );
});

test("what is used since a rate was full is no more than its burst and what came back, however late the rest is given back", (context) => {
  // 100 a minute come back as one in 600 ms.
  const [limit, unitMs] = [100, MINUTE_MS / 100];
  const { map, key } = stageOf(context, limit, "tokens");
  const running: { readonly ticket: number; readonly reserved: number }[] = [];
  let [taken, most, seed] = [0, 0, 7];
  const random = (bound: number) => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((seed / 2 ** 32) * bound);
  };
  for (let step = 1; step <= 2_000; step += 1) {
    native.limitsHoldTime(START_MS + step * unitMs);
    const reserved = 1 + random(limit);
    if (admit(map, key, { output: reserved }) === LIMIT_ADMITTED) {
      running.push({ ticket: ticketOf(map), reserved });
      taken += reserved;
    }
    const over = random(3) === 0 ? running.splice(random(running.length), 1)[0] : undefined;
    if (over !== undefined) {
      const used = random(over.reserved + 1);
      map.settle(over.ticket, 0, used, 0);
      taken -= over.reserved - used;
    }
    const beyond = taken - step;
    if (beyond > most) most = beyond;
    ok(beyond <= limit, `step ${step}: ${taken} tokens`);
  }
  ok(most > limit / 2, "it was near its end");
});
