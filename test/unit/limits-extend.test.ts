/** Reservations of requests that run, in the map of limits: how far they go, more of them from all limits or none, and what is settled of it. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { LimitRule } from "../../src/base/limit-terms.ts";
import { native } from "../../src/native/native.ts";
import { LIMIT_ADMITTED, LIMIT_AT, type LimitsMap, prepareLimits } from "../../src/shm/limits.ts";
import { type Amounts, admit, DAY_MS, decide, directoryOf, MINUTE_MS, ruleOf, ticketOf } from "../support/limits.ts";

const LEASE_MS = 600_000;
const NOON_MS = Date.parse("2026-03-28T12:00:00Z");
const CALENDAR = { per: "day", timeZone: "UTC" } as const;

type Changes = Partial<LimitRule>;
const RATE: Changes = { name: "rate", quantity: "tokens", limit: 100, periodMs: DAY_MS };
const WINDOW: Changes = { name: "window", quantity: "output_tokens", kind: "window", limit: 100, periodMs: MINUTE_MS };
const BUDGET: Changes = {
  name: "budget",
  quantity: "tokens",
  kind: "budget",
  limit: 100,
  periodMs: 0,
  calendar: CALENDAR,
};

interface Stage {
  readonly map: LimitsMap;
  readonly key: number;
  /** How many output tokens one more request is admitted for. */
  left(): number;
}

function stageOf(context: { after: (end: () => void) => void }, ...changes: Changes[]): Stage {
  const map = prepareLimits(directoryOf(context));
  native.limitsHoldTime(NOON_MS);
  map.configure(
    changes.map((one) => ruleOf(one)),
    LEASE_MS,
  );
  const key = map.subject("key", "one");
  return { map, key, left: () => leftOf(map, key) };
}

/** By what is admitted, and given back at once. */
function leftOf(map: LimitsMap, key: number): number {
  let left = 0;
  for (let step = 128; step >= 1; step /= 2) {
    if (admit(map, key, { output: left + step }) !== LIMIT_ADMITTED) continue;
    map.settle(ticketOf(map), 0, 0, 0);
    left += step;
  }
  return left;
}

function admitted({ map, key }: Stage, amounts: Amounts): { ticket: number; covered: number } {
  strictEqual(admit(map, key, amounts), LIMIT_ADMITTED);
  return { ticket: ticketOf(map), covered: map.fields[LIMIT_AT.covered] ?? 0 };
}

for (const rule of [RATE, WINDOW, BUDGET]) {
  test(`a ${rule.name} takes what is wanted, then what there is, then nothing, and gives back what was not used`, (context) => {
    const stage = stageOf(context, rule);
    const { ticket, covered } = admitted(stage, { output: 10 });
    strictEqual(covered, 10);
    strictEqual(stage.map.extend(ticket, -1, 1, 64, 0), 64);
    strictEqual(stage.left(), 26);
    strictEqual(stage.map.extend(ticket, -1, 1, 64, 0), 26);
    strictEqual(stage.map.extend(ticket, -1, 1, 64, 0), 0);
    stage.map.settle(ticket, 0, 75, 0);
    strictEqual(stage.left(), 25);
  });

  test(`a ${rule.name} that has less than is needed gives nothing`, (context) => {
    const stage = stageOf(context, rule);
    const { ticket } = admitted(stage, { output: 95 });
    strictEqual(stage.map.extend(ticket, -1, 6, 64, 0), 0);
    strictEqual(stage.left(), 5);
    strictEqual(stage.map.extend(ticket, -1, 5, 64, 0), 5);
  });

  test(`a ${rule.name} that only observes takes all there is asked for`, (context) => {
    const stage = stageOf(context, { ...rule, observes: true });
    const { ticket, covered } = admitted(stage, { output: 90 });
    strictEqual(covered, -1);
    strictEqual(stage.map.extend(ticket, -1, 1, 64, 0), 64);
  });
}

test("all limits take more, or none does", (context) => {
  const stage = stageOf(context, { ...RATE, limit: 1_000, burst: 1_000 }, { ...WINDOW, limit: 50 }, BUDGET);
  const { ticket, covered } = admitted(stage, { input: 20, output: 40 });
  strictEqual(covered, 40);
  const before = [stage.map.spent(rule(stage, 2), new Map([["key", "one"]]))?.used];
  strictEqual(stage.map.extend(ticket, -1, 11, 64, 0), 0);
  deepStrictEqual([stage.map.spent(rule(stage, 2), new Map([["key", "one"]]))?.used], before);
  strictEqual(stage.map.extend(ticket, -1, 1, 64, 0), 10);
  stage.map.settle(ticket, 20, 50, 0);
  strictEqual(stage.left(), 0);
});

function rule({ map }: Stage, index: number): LimitRule {
  const found = map.ruleAt(index);
  if (found === undefined) throw new Error("there is such a rule");
  return found;
}

test("what was assumed of an answer is covered as far as the limit had it", (context) => {
  const { map, key } = stageOf(context, RATE);
  map.fields.fill(-1);
  admit(map, key, { input: 30, output: 512 });
  const { amounts } = LIMIT_AT;
  map.fields.fill(-1, 0, LIMIT_AT.partsEnd);
  map.fields[LIMIT_AT.parts.key] = key;
  map.fields[amounts.input_tokens] = 30;
  map.fields[amounts.output_tokens] = 512;
  map.fields[amounts.tokens] = 542;
  map.fields[LIMIT_AT.assumed] = 512;
  strictEqual(decide(map), LIMIT_ADMITTED);
  strictEqual(map.fields[LIMIT_AT.covered], 70);
});

test("money covers as many tokens as it pays, and more of it is of what they cost", (context) => {
  const stage = stageOf(context, { ...BUDGET, quantity: "cost", limit: 1_000 });
  const { map, key } = stage;
  const { amounts } = LIMIT_AT;
  map.fields.fill(0);
  map.fields.fill(-1, 0, LIMIT_AT.partsEnd);
  map.fields[LIMIT_AT.parts.key] = key;
  map.fields[amounts.output_tokens] = 512;
  map.fields[amounts.cost] = 100 + 5_120;
  map.fields[LIMIT_AT.assumed] = 512;
  map.fields[LIMIT_AT.assumedCost] = 5_120;
  map.fields[LIMIT_AT.bills] = 1;
  strictEqual(decide(map), LIMIT_ADMITTED);
  deepStrictEqual([map.fields[LIMIT_AT.covered], ticketOf(map) >= 0], [90, true]);
  const ticket = ticketOf(map);
  strictEqual(map.extend(ticket, -1, 1, 64, 640), 0);
  map.settle(ticket, 0, 0, 400);
  map.fields[amounts.output_tokens] = 10;
  map.fields[amounts.cost] = 100;
  map.fields[LIMIT_AT.assumedCost] = 0;
  strictEqual(decide(map), LIMIT_ADMITTED);
  strictEqual(map.fields[LIMIT_AT.covered], 10);
  strictEqual(map.extend(ticketOf(map), -1, 1, 64, 640), 50);
  strictEqual(map.spent(rule(stage, 0), new Map([["key", "one"]]))?.used, 1_000);
});

test("what a stream takes in a later window counts there, and what it had counts where it was", (context) => {
  const stage = stageOf(context, WINDOW);
  const { ticket } = admitted(stage, { output: 40 });
  native.limitsHoldTime(NOON_MS + MINUTE_MS);
  strictEqual(stage.left(), 100);
  strictEqual(stage.map.extend(ticket, -1, 1, 30, 0), 30);
  strictEqual(stage.left(), 70);
  stage.map.settle(ticket, 0, 45, 0);
  strictEqual(stage.left(), 95);
});

test("a budget whose period is over lets a stream of it go on", (context) => {
  const stage = stageOf(context, BUDGET);
  const { ticket } = admitted(stage, { output: 100 });
  native.limitsHoldTime(NOON_MS + DAY_MS);
  stage.map.tick();
  strictEqual(stage.map.extend(ticket, -1, 1, 64, 0), 64);
  strictEqual(stage.left(), 100);
});

test("a limit that is gone from the configuration refuses nothing more", (context) => {
  const { map, ...stage } = stageOf(context, RATE);
  const { ticket } = admitted({ map, ...stage }, { output: 100 });
  map.configure([], LEASE_MS);
  strictEqual(map.extend(ticket, -1, 1, 64, 0), 64);
});
