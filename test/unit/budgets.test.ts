/** Budgets in the map of limits: their periods while time stands still or goes on, what settles late, what no other count may take, and alerts. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { LimitPart, LimitRule } from "../../src/base/limit-terms.ts";
import { native } from "../../src/native/native.ts";
import {
  LIMIT_ADMITTED,
  LIMIT_AT,
  LIMIT_NEVER,
  LIMIT_REFUSED,
  type LimitsMap,
  prepareLimits,
} from "../../src/shm/limits.ts";
import { admit, decide, directoryOf, LimitsChild, ruleOf, ticketOf } from "../support/limits.ts";

const LEASE_MS = 10_000;
const NOON_MS = Date.parse("2026-03-28T12:00:00Z");
const ONE: ReadonlyMap<LimitPart, string> = new Map([["key", "one"]]);

/** 100 tokens a day and key in Berlin, but for `changes`. */
function budgetOf(changes: Partial<LimitRule> = {}): LimitRule {
  const calendar = { per: "day", timeZone: "Europe/Berlin" } as const;
  return ruleOf({ name: "budget", kind: "budget", quantity: "tokens", periodMs: 0, limit: 100, calendar, ...changes });
}

function mapOf(dataDir: string, rules: readonly LimitRule[], atMs = NOON_MS): LimitsMap {
  const map = prepareLimits(dataDir);
  native.limitsHoldTime(atMs);
  map.configure(rules, LEASE_MS);
  return map;
}

function goTo(map: LimitsMap, at: string): void {
  native.limitsHoldTime(Date.parse(at));
  map.tick();
}

function spentOf(map: LimitsMap, rule: LimitRule, names = ONE): number[] {
  const spent = map.spent(rule, names);
  return spent === null ? [] : [spent.used, spent.settled];
}

/** A request of so many tokens, from its admission to its end. */
function use(map: LimitsMap, key: number, tokens: number): void {
  strictEqual(admit(map, key, { input: tokens }), LIMIT_ADMITTED);
  map.settle(ticketOf(map), tokens, 0, 0);
}

test("a budget begins anew at midnight of its zone, also where the day has 23 hours, and in no worker earlier", (context) => {
  const rule = budgetOf();
  const map = mapOf(directoryOf(context), [rule]);
  const key = map.subject("key", "one");
  use(map, key, 100);
  for (const before of ["2026-03-28T22:59:59.999Z", "2026-03-28T23:00:00Z", "2026-03-29T21:59:59.999Z"]) {
    const begun = before.endsWith("00:00Z");
    goTo(map, before);
    strictEqual(admit(map, key, { input: 100 }), begun ? LIMIT_ADMITTED : LIMIT_REFUSED, before);
    if (begun) map.settle(ticketOf(map), 100, 0, 0);
  }
  // Nobody ticked yet: the end of the next period is known.
  native.limitsHoldTime(Date.parse("2026-03-29T22:00:00Z"));
  use(map, key, 100);
  strictEqual(admit(map, key, { input: 1 }), LIMIT_REFUSED);
  goTo(map, "2026-03-29T22:00:01Z");
  strictEqual(admit(map, key, { input: 1 }), LIMIT_REFUSED);
  deepStrictEqual(spentOf(map, rule), [100, 100]);
});

test("weeks and months, and a budget that never ends", (context) => {
  const rules = (["week", "month", "total"] as const).map((per) =>
    budgetOf({ name: per, calendar: { per, timeZone: "UTC" }, limit: 1_000 }),
  );
  const map = mapOf(directoryOf(context), rules);
  const key = map.subject("key", "one");
  const usedAt = (at: string) => {
    goTo(map, at);
    use(map, key, 10);
    return rules.map((rule) => spentOf(map, rule)[0]);
  };
  deepStrictEqual(usedAt("2026-03-29T23:59:59Z"), [10, 10, 10]);
  deepStrictEqual(usedAt("2026-03-30T00:00:00Z"), [10, 20, 20]);
  deepStrictEqual(usedAt("2026-04-01T00:00:00Z"), [20, 10, 30]);
  // Whoever slept for years goes on with what is new.
  deepStrictEqual(usedAt("2031-01-01T00:00:00Z"), [10, 10, 40]);
});

test("what a request used belongs to the period that it began in", (context) => {
  const rule = budgetOf();
  const map = mapOf(directoryOf(context), [rule]);
  const key = map.subject("key", "one");
  strictEqual(admit(map, key, { input: 60 }), LIMIT_ADMITTED);
  const ticket = ticketOf(map);
  deepStrictEqual(spentOf(map, rule), [60, 0]);
  goTo(map, "2026-03-29T12:00:00Z");
  use(map, key, 5);
  map.settle(ticket, 90, 0, 0);
  deepStrictEqual(spentOf(map, rule), [5, 5]);
});

test("a budget and a rate admit together or not at all", (context) => {
  const money = budgetOf({ name: "money", quantity: "cost", limit: 1_000 });
  const map = mapOf(directoryOf(context), [money, ruleOf({ limit: 2, periodMs: 86_400_000 })]);
  const key = map.subject("key", "one");
  const ask = (cost: number, bills = 1) => {
    // admit() of the support file sets all others.
    map.fields.fill(-1);
    map.fields[LIMIT_AT.parts.key] = key;
    map.fields[LIMIT_AT.amounts.requests] = 1;
    map.fields[LIMIT_AT.amounts.cost] = cost;
    map.fields[LIMIT_AT.assumedCost] = 0;
    map.fields[LIMIT_AT.bills] = bills;
    return decide(map);
  };
  strictEqual(ask(1_001), LIMIT_NEVER);
  strictEqual(ask(1_000), LIMIT_ADMITTED);
  // Used up: not even what seems to cost nothing, unless nobody pays for it, or there is no price.
  deepStrictEqual([ask(1), ask(0)], [LIMIT_REFUSED, LIMIT_REFUSED]);
  strictEqual(ask(0, 0), LIMIT_ADMITTED);
  strictEqual(ask(-1), LIMIT_REFUSED, "the rate has two");
  deepStrictEqual(spentOf(map, money), [1_000, 0]);
});

test("each threshold is told of once in a period, whatever is corrected, and the end also when it refuses", (context) => {
  const rule = budgetOf({ alertAt: [50, 100] });
  const map = mapOf(directoryOf(context), [rule]);
  const key = map.subject("key", "one");
  const alerts = () => Array.from({ length: map.fields[LIMIT_AT.alerts] ?? 0 }, (_, i) => map.alertAt(i)?.percent);
  const told = (tokens: number) => {
    use(map, key, tokens);
    return alerts();
  };
  deepStrictEqual([told(49), told(1), told(10), told(30)], [[], [50], [], []]);
  strictEqual(admit(map, key, { input: 20 }), LIMIT_REFUSED);
  deepStrictEqual(alerts(), [100]);
  strictEqual(admit(map, key, { input: 20 }), LIMIT_REFUSED);
  deepStrictEqual(alerts(), []);
  deepStrictEqual(told(10), []);
  goTo(map, "2026-03-29T12:00:00Z");
  deepStrictEqual(told(100), [50, 100]);
  strictEqual(map.tallies()[0]?.alerts, 4);
});

test("thresholds of a budget that is raised are told anew, those of one that is lowered are not", (context) => {
  const of = (limit: number) => budgetOf({ limit, alertAt: [50, 100] });
  const map = mapOf(directoryOf(context), [of(100)]);
  const key = map.subject("key", "one");
  const told = (tokens: number) => {
    use(map, key, tokens);
    return Array.from({ length: map.fields[LIMIT_AT.alerts] ?? 0 }, (_, i) => map.alertAt(i)?.percent);
  };
  deepStrictEqual([told(60), told(40)], [[50], [100]]);
  map.configure([of(300)], LEASE_MS);
  deepStrictEqual([told(40), told(20), told(10)], [[], [50], []]);
  map.configure([of(200)], LEASE_MS);
  deepStrictEqual([told(10), told(20)], [[], [100]]);
  map.configure([of(300)], LEASE_MS);
  deepStrictEqual(told(10), []);
});

test("no other count takes the place of a budget whose period runs", (context) => {
  const rule = budgetOf({ limit: 1_000_000 });
  const map = mapOf(directoryOf(context), [rule, ruleOf({ name: "many", limit: 1_000 })]);
  const kept = Array.from({ length: 200 }, (_, i) => map.subject("key", `kept ${i}`));
  for (const key of kept) use(map, key, 7);
  // Twice as many rates as there are places, each of them full again when the next ones come.
  for (let i = 0; i < 130_000; i += 1) {
    map.fields.fill(-1);
    map.fields[LIMIT_AT.bills] = 0;
    map.fields[LIMIT_AT.amounts.requests] = 1;
    map.text("key", `other ${i}`);
    decide(map);
    if (i % 1_000 === 0) native.limitsHoldTime(NOON_MS + i);
  }
  ok(map.state().reclaimed > 0);
  for (let i = 0; i < kept.length; i += 1) {
    deepStrictEqual(spentOf(map, rule, new Map([["key", `kept ${i}`]])), [7, 7]);
  }
});

test("what the store knows is added once, whatever is reserved, and nothing is taken away", (context) => {
  const dataDir = directoryOf(context);
  const rule = budgetOf();
  let map = mapOf(dataDir, [rule]);
  const key = map.subject("key", "one");
  use(map, key, 10);
  strictEqual(admit(map, key, { input: 5 }), LIMIT_ADMITTED);
  const ticket = ticketOf(map);
  for (const least of [30, 30, 20]) map.raise(rule, ONE, least);
  deepStrictEqual(spentOf(map, rule), [35, 30]);
  map.settle(ticket, 6, 0, 0);
  deepStrictEqual(spentOf(map, rule), [36, 36]);
  // As after a kill -9 of everything; and without the file.
  map = mapOf(dataDir, [rule]);
  deepStrictEqual(spentOf(map, rule), [36, 36]);
  rmSync(join(dataDir, "limits.map"));
  map = mapOf(dataDir, [rule]);
  deepStrictEqual(spentOf(map, rule), [0, 0]);
});

test("a number that changes leaves what was used; another zone is another budget", (context) => {
  const rule = budgetOf();
  const map = mapOf(directoryOf(context), [rule]);
  use(map, map.subject("key", "one"), 40);
  const more = budgetOf({ limit: 200 });
  map.configure([more], LEASE_MS);
  deepStrictEqual(spentOf(map, more), [40, 40]);
  const other = budgetOf({ calendar: { per: "day", timeZone: "UTC" } });
  map.configure([other], LEASE_MS);
  deepStrictEqual(spentOf(map, other), [0, 0]);
});

test("two workers spend a budget to the last token and no further, and what killed ones reserved stays", async (context) => {
  const dataDir = directoryOf(context);
  // The children's time stands at 2030.
  const rule = budgetOf({ limit: 50_000, calendar: { per: "total", timeZone: "UTC" } });
  const map = mapOf(dataDir, [rule]);
  map.subject("key", "one");
  const children = await Promise.all(
    [0, 1].map((slot) => LimitsChild.start(context, dataDir, slot, [rule], "keep 40000")),
  );
  const admitted = await Promise.all(children.map((child) => child.finish()));
  strictEqual(
    admitted.reduce((total, count) => total + Number(count), 0),
    50_000,
  );
  deepStrictEqual(spentOf(map, rule), [50_000, 0]);
});
