/** The map of limits: rates and windows against plain models with time that stands still, all or none, leases, a full table. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { LimitRule } from "../../src/base/limit-terms.ts";
import { native } from "../../src/native/native.ts";
import {
  LIMIT_ADMITTED,
  LIMIT_AT,
  LIMIT_NEVER,
  LIMIT_REFUSED,
  LIMIT_UNPLACED,
  type LimitsMap,
  prepareLimits,
} from "../../src/shm/limits.ts";
import {
  type Amounts,
  admit,
  decide,
  directoryOf,
  fill,
  MINUTE_MS,
  ruleOf,
  SECOND_MS,
  ticketOf,
} from "../support/limits.ts";

const START_MS = 1_800_000_000_000;
const LEASE_MS = 10_000;

/** A new map with these rules at START_MS. */
function mapOf(context: TestContext, ...rules: readonly LimitRule[]): LimitsMap {
  const map = prepareLimits(directoryOf(context));
  map.configure(rules, LEASE_MS);
  native.limitsHoldTime(START_MS);
  return map;
}

/** Repeatable numbers below `bound`. */
function randomOf(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}

function decisions(map: LimitsMap, key: number, count: number, amounts: Amounts = {}): number[] {
  return Array.from({ length: count }, () => admit(map, key, amounts));
}

test("a rate decides as a plain model of GCRA does, over many seeds", (context) => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const random = randomOf(seed);
    // Whole milliseconds for each unit, so that the model is exact.
    const unitMs = 1 + random(50);
    const burst = 1 + random(20);
    const rule = ruleOf({ limit: 1_000, burst, periodMs: unitMs * 1_000, name: `seed ${seed}` });
    const map = mapOf(context, rule);
    const key = map.subject("key", "one");
    let [timeMs, fullAtMs] = [START_MS, START_MS];
    for (let step = 0; step < 500; step += 1) {
      timeMs += random(3) === 0 ? random(unitMs * 4) : 0;
      native.limitsHoldTime(timeMs);
      const requests = 1 + random(3);
      const afterMs = Math.max(fullAtMs, timeMs) + requests * unitMs;
      const admits = afterMs - timeMs <= burst * unitMs;
      if (admits) fullAtMs = afterMs;
      const expected = admits ? LIMIT_ADMITTED : requests > burst ? LIMIT_NEVER : LIMIT_REFUSED;
      strictEqual(admit(map, key, { requests }), expected, `seed ${seed}, step ${step}`);
      const { fields } = map;
      strictEqual(
        fields[LIMIT_AT.requests + 1],
        Math.floor((timeMs + burst * unitMs - Math.max(fullAtMs, timeMs)) / unitMs),
      );
      if (expected === LIMIT_REFUSED) strictEqual(fields[LIMIT_AT.retryMs], afterMs - timeMs - burst * unitMs);
    }
  }
});

test("who waits for as long as it is told is admitted then, and not before", (context) => {
  const map = mapOf(context, ruleOf({ limit: 7, burst: 3, periodMs: MINUTE_MS }));
  const key = map.subject("key", "one");
  deepStrictEqual(decisions(map, key, 4), [LIMIT_ADMITTED, LIMIT_ADMITTED, LIMIT_ADMITTED, LIMIT_REFUSED]);
  const retryMs = Math.ceil(map.fields[LIMIT_AT.retryMs] ?? 0);
  native.limitsHoldTime(START_MS + retryMs - 1);
  strictEqual(admit(map, key), LIMIT_REFUSED);
  native.limitsHoldTime(START_MS + retryMs);
  strictEqual(admit(map, key), LIMIT_ADMITTED);
});

test("a window counts as a plain counter does, and ends on the clock", (context) => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const random = randomOf(seed);
    const limit = 1 + random(30);
    const map = mapOf(context, ruleOf({ kind: "window", limit, periodMs: MINUTE_MS, name: `seed ${seed}` }));
    const key = map.subject("key", "one");
    let [timeMs, window, used] = [START_MS, 0, 0];
    for (let step = 0; step < 500; step += 1) {
      timeMs += random(4) === 0 ? random(MINUTE_MS / 8) : 0;
      native.limitsHoldTime(timeMs);
      const current = Math.floor(timeMs / MINUTE_MS);
      if (current !== window) [window, used] = [current, 0];
      const admits = used + 1 <= limit;
      used += admits ? 1 : 0;
      strictEqual(admit(map, key), admits ? LIMIT_ADMITTED : LIMIT_REFUSED, `seed ${seed}, step ${step}`);
      if (!admits) strictEqual(map.fields[LIMIT_AT.retryMs], (window + 1) * MINUTE_MS - timeMs);
    }
  }
});

test("a request that one limit refuses takes nothing of the others", (context) => {
  const map = mapOf(
    context,
    ruleOf({ name: "wide", limit: 1_000 }),
    ruleOf({ name: "window", kind: "window", limit: 1_000 }),
    ruleOf({ name: "held", quantity: "concurrency", kind: "held", limit: 1_000, burst: 1_000, periodMs: 0 }),
    ruleOf({ name: "narrow", limit: 2 }),
  );
  const key = map.subject("key", "one");
  deepStrictEqual(decisions(map, key, 2), [LIMIT_ADMITTED, LIMIT_ADMITTED]);
  for (let i = 0; i < 5_000; i += 1) strictEqual(admit(map, key), LIMIT_REFUSED);
  strictEqual(map.fields[LIMIT_AT.limit], 3);
  map.configure(
    [
      ruleOf({ name: "wide", limit: 1_000 }),
      ruleOf({ name: "window", kind: "window", limit: 1_000 }),
      ruleOf({ name: "held", quantity: "concurrency", kind: "held", limit: 1_000, burst: 1_000, periodMs: 0 }),
    ],
    LEASE_MS,
  );
  strictEqual(admit(map, key, { requests: 998 }), LIMIT_ADMITTED);
  strictEqual(admit(map, key), LIMIT_REFUSED);
});

test("what a refused request did not take is there at once, as its headers say", (context) => {
  const rules = [ruleOf({ name: "calls" }), ruleOf({ name: "tokens", quantity: "input_tokens", limit: 5 })];
  const map = mapOf(context, ...rules);
  const key = map.subject("key", "one");
  strictEqual(admit(map, key, { input: 6 }), LIMIT_NEVER);
  deepStrictEqual([...map.fields.subarray(LIMIT_AT.requests, LIMIT_AT.requests + 3)], [10, 10, 0]);
});

test("subjects are counted apart, and a limit for some of them is for no others", (context) => {
  const map = mapOf(
    context,
    ruleOf({ limit: 1 }),
    ruleOf({ name: "some", limit: 1, scope: [], keys: ["two", "three"] }),
  );
  const [one, two, three] = ["one", "two", "three"].map((name) => map.subject("key", name));
  deepStrictEqual(decisions(map, one ?? -1, 2), [LIMIT_ADMITTED, LIMIT_REFUSED]);
  deepStrictEqual(decisions(map, two ?? -1, 1), [LIMIT_ADMITTED]);
  // Its own bucket is full; the one for both is not.
  deepStrictEqual(decisions(map, three ?? -1, 1), [LIMIT_REFUSED]);
  strictEqual(map.fields[LIMIT_AT.limit], 1);
  // Without a key the first has nothing to count apart, and the second is not for it.
  strictEqual(admit(map, -1), LIMIT_ADMITTED);
});

test("a name of a subject that comes as a text is the same subject", (context) => {
  const map = mapOf(context, ruleOf({ limit: 1 }));
  strictEqual(admit(map, map.subject("key", "one")), LIMIT_ADMITTED);
  map.text("key", "one");
  strictEqual(admit(map, -1), LIMIT_REFUSED);
  map.text("key", "other");
  strictEqual(admit(map, -1), LIMIT_ADMITTED);
});

test("what was reserved is settled to what was used: given back, or charged on top", (context) => {
  const tokens = (kind: "rate" | "window", name: string) =>
    ruleOf({ name, quantity: "tokens", kind, limit: 100, burst: 100, periodMs: MINUTE_MS });
  for (const kind of ["rate", "window"] as const) {
    const map = mapOf(context, tokens(kind, kind));
    const key = map.subject("key", "one");
    strictEqual(admit(map, key, { input: 30, output: 70 }), LIMIT_ADMITTED);
    const ticket = ticketOf(map);
    strictEqual(admit(map, key, { input: 1 }), LIMIT_REFUSED);
    map.settle(ticket, 30, 10, 0);
    strictEqual(admit(map, key, { input: 61 }), LIMIT_REFUSED);
    strictEqual(admit(map, key, { input: 60 }), LIMIT_ADMITTED);
    map.settle(ticketOf(map), 90, 0, 0);
    strictEqual(admit(map, key, { input: 1 }), LIMIT_REFUSED);
    // A rate has 30 too many to wait for, a window begins anew.
    native.limitsHoldTime(START_MS + (kind === "rate" ? 18_000 : MINUTE_MS) - 1);
    strictEqual(admit(map, key, { input: 1 }), LIMIT_REFUSED);
    native.limitsHoldTime(START_MS + (kind === "rate" ? 18_600 : MINUTE_MS));
    strictEqual(admit(map, key, { input: 1 }), LIMIT_ADMITTED);
  }
});

test("permits come back when they are settled, when their time is over, and when their holder is gone", (context) => {
  const held = ruleOf({ quantity: "concurrency", kind: "held", limit: 2, burst: 2, periodMs: 0 });
  const map = mapOf(context, held);
  native.limitsTakeSlot(3, 1_000);
  const key = map.subject("key", "one");
  strictEqual(admit(map, key), LIMIT_ADMITTED);
  const ticket = ticketOf(map);
  deepStrictEqual(decisions(map, key, 2), [LIMIT_ADMITTED, LIMIT_REFUSED]);
  map.settle(ticket, 0, 0, 0);
  deepStrictEqual(decisions(map, key, 2), [LIMIT_ADMITTED, LIMIT_REFUSED]);
  // Another process that died had another slot, or this one before us.
  map.leaveSlot(3, 999);
  map.leaveSlot(4, 1_000);
  strictEqual(admit(map, key), LIMIT_REFUSED);
  map.leaveSlot(3, 1_000);
  deepStrictEqual(decisions(map, key, 3), [LIMIT_ADMITTED, LIMIT_ADMITTED, LIMIT_REFUSED]);
  native.limitsHoldTime(START_MS + LEASE_MS);
  map.tick();
  deepStrictEqual(decisions(map, key, 3), [LIMIT_ADMITTED, LIMIT_ADMITTED, LIMIT_REFUSED]);
});

test("a permit that came back by its time is not given back once more by its request", (context) => {
  const map = mapOf(context, ruleOf({ quantity: "concurrency", kind: "held", limit: 1, burst: 1, periodMs: 0 }));
  const key = map.subject("key", "one");
  strictEqual(admit(map, key), LIMIT_ADMITTED);
  const ticket = ticketOf(map);
  native.limitsHoldTime(START_MS + LEASE_MS);
  map.tick();
  strictEqual(admit(map, key), LIMIT_ADMITTED);
  map.settle(ticket, 0, 0, 0);
  strictEqual(admit(map, key), LIMIT_REFUSED);
});

test("bytes in flight are held and given back", (context) => {
  const map = mapOf(
    context,
    ruleOf({ quantity: "bytes_in_flight", kind: "held", limit: 1_000, burst: 1_000, periodMs: 0 }),
  );
  const key = map.subject("key", "one");
  strictEqual(admit(map, key, { bytes: 600 }), LIMIT_ADMITTED);
  const ticket = ticketOf(map);
  deepStrictEqual([admit(map, key, { bytes: 401 }), admit(map, key, { bytes: 1_001 })], [LIMIT_REFUSED, LIMIT_NEVER]);
  map.settle(ticket, 0, 0, 0);
  strictEqual(admit(map, key, { bytes: 1_000 }), LIMIT_ADMITTED);
});

test("users that a client makes up leave room for the counts of keys", (context) => {
  const map = mapOf(
    context,
    ruleOf({ name: "users", scope: ["key", "user"], periodMs: MINUTE_MS }),
    ruleOf({ name: "keys", limit: 1_000_000, periodMs: MINUTE_MS }),
  );
  const asks = (key: string, user: string | null) => {
    map.text("key", key);
    if (user !== null) map.text("user", user);
    return admit(map, -1);
  };
  let refused = 0;
  for (let i = 0; refused < 10_000; i += 1) refused += asks("one", `user ${i}`) === LIMIT_UNPLACED ? 1 : 0;
  for (let i = 0; i < 1_000; i += 1) strictEqual(asks(`key ${i}`, null), LIMIT_ADMITTED);
  deepStrictEqual(
    map.tallies().map(({ unplaced }) => unplaced),
    [10_000, 0],
  );
});

test("models that a client makes up leave room for those of the configuration", (context) => {
  const map = mapOf(context, ruleOf({ name: "models", scope: ["model"], limit: 1_000, periodMs: MINUTE_MS }));
  const asks = (named: number, text: string | null) => {
    fill(map, -1);
    map.fields[LIMIT_AT.parts.model] = named;
    if (text !== null) map.text("model", text);
    return decide(map);
  };
  let refused = 0;
  for (let i = 0; refused < 10_000; i += 1) refused += asks(-1, `model ${i}`) === LIMIT_UNPLACED ? 1 : 0;
  for (let i = 0; i < 1_000; i += 1) strictEqual(asks(map.subject("model", `own ${i}`), null), LIMIT_ADMITTED);
});

test("a full table refuses or admits as the rule says, counts it, and takes back what nobody misses", (context) => {
  const rules = [
    ruleOf({ name: "refuses", limit: 2, periodMs: MINUTE_MS }),
    ruleOf({ name: "admits", limit: 2, periodMs: MINUTE_MS, admitsUnplaced: true }),
  ];
  const map = mapOf(context, rules[0] ?? ruleOf());
  let number = 0;
  let refused = 0;
  const ask = () => {
    map.text("key", `key ${number}`);
    number += 1;
    return admit(map, -1);
  };
  while (refused < 1_000) refused += ask() === LIMIT_UNPLACED ? 1 : 0;
  // Two sets to choose from fill evenly: nearly all of it is used before anybody is refused.
  ok(number - refused > 65_536 * 0.9, `${number - refused} buckets were used`);
  strictEqual(map.tallies()[0]?.unplaced, 1_000);
  map.configure(rules.slice(1), LEASE_MS);
  for (let i = 0; i < 100; i += 1) strictEqual(ask(), LIMIT_ADMITTED);
  map.configure(rules.slice(0, 1), LEASE_MS);
  native.limitsHoldTime(START_MS + MINUTE_MS);
  for (let i = 0; i < 1_000; i += 1) strictEqual(ask(), LIMIT_ADMITTED);
  const { reclaimed } = map.state();
  ok(reclaimed > 300, `${reclaimed} buckets were reclaimed`);
});

test("an observing limit never refuses, and takes only what an enforcing one would", (context) => {
  const map = mapOf(context, ruleOf({ limit: 2, observes: true }));
  const key = map.subject("key", "one");
  deepStrictEqual(decisions(map, key, 5), [0, 0, 0, 0, 0]);
  strictEqual(map.tallies()[0]?.observed, 3);
  map.configure([ruleOf({ limit: 2 })], LEASE_MS);
  native.limitsHoldTime(START_MS + SECOND_MS / 2);
  deepStrictEqual(decisions(map, key, 2), [LIMIT_ADMITTED, LIMIT_REFUSED]);
});

test("time follows the wall clock forward and not backward, and never stands still", (context) => {
  const OFFSET_AT = 128;
  const HOUR_NS = 3_600_000_000_000n;
  const dataDir = directoryOf(context);
  const map = prepareLimits(dataDir);
  native.limitsHoldTime(-1);
  const file = openSync(join(dataDir, "limits.map"), "r+");
  const bytes = new BigInt64Array(1);
  const offset = () => {
    readSync(file, bytes, 0, 8, OFFSET_AT);
    return bytes[0] ?? 0n;
  };
  const set = (ns: bigint) => {
    bytes[0] = ns;
    writeSync(file, bytes, 0, 8, OFFSET_AT);
  };
  const ofWall = offset();
  // As if the wall clock had been set an hour forward since, and then back again.
  set(ofWall - HOUR_NS);
  map.tick();
  const followed = offset() - ofWall;
  ok(followed > -1_000_000_000n && followed < 1_000_000_000n, `${followed} ns beside the wall clock`);
  set(ofWall + HOUR_NS);
  map.tick();
  strictEqual(offset(), ofWall + HOUR_NS);
  const rule = ruleOf({ limit: 1_000, burst: 1 });
  map.configure([rule], LEASE_MS);
  const key = map.subject("key", "one");
  let admitted = 0;
  while (admitted < 5) admitted += admit(map, key) === LIMIT_ADMITTED ? 1 : 0;
  closeSync(file);
});
