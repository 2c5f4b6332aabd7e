/** A request that goes to another target, in the map of limits: what limits of targets have of it goes along or stays, and tries count where they were. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { LimitPart, LimitRule } from "../../src/base/limit-terms.ts";
import { native } from "../../src/native/native.ts";
import { LIMIT_ADMITTED, LIMIT_AT, LIMIT_REFUSED, type LimitsMap, prepareLimits } from "../../src/shm/limits.ts";
import { DAY_MS, decide, directoryOf, ticketOf as requestTicketOf, ruleOf } from "../support/limits.ts";

const LEASE_MS = 60_000;
const NOON_MS = Date.parse("2026-03-28T12:00:00Z");
const { parts, amounts } = LIMIT_AT;
const TARGET = 1 << parts.target;
const PROVIDER = 1 << parts.provider;

type Changes = Partial<LimitRule>;
const scope: LimitPart[] = ["provider"];
const TOKENS: Changes = { name: "tokens", quantity: "tokens", scope, limit: 100, periodMs: DAY_MS };
const WINDOW: Changes = { name: "window", quantity: "tokens", kind: "window", scope, limit: 100, periodMs: DAY_MS };
const BUDGET: Changes = {
  name: "budget",
  quantity: "tokens",
  kind: "budget",
  scope,
  limit: 100,
  periodMs: 0,
  calendar: { per: "day", timeZone: "UTC" },
};
const HELD: Changes = { name: "held", quantity: "concurrency", kind: "held", scope, limit: 1, periodMs: 0 };
const REQUESTS: Changes = { name: "requests", scope, limit: 2, periodMs: DAY_MS };

/** Of what limits of targets have of the last request. */
function ticketOf(map: LimitsMap): number {
  return map.fields[LIMIT_AT.targetTicket] ?? -1;
}

class Stage {
  readonly map: LimitsMap;

  constructor(context: { after: (end: () => void) => void }, ...changes: Changes[]) {
    this.map = prepareLimits(directoryOf(context));
    native.limitsHoldTime(NOON_MS);
    this.map.configure(
      changes.map((one) => ruleOf(one)),
      LEASE_MS,
    );
  }

  /** A request of one key, at this provider and model of it, for so many tokens. */
  fill(provider: string, tokens: number, model = "model"): void {
    const { fields } = this.map;
    fields.fill(-1);
    fields[parts.key] = this.map.subject("key", "one");
    fields[parts.provider] = this.map.subject("provider", provider);
    fields[parts.target] = this.map.subject("target", `${provider}/${model}`);
    fields[amounts.requests] = fields[amounts.concurrency] = 1;
    fields[amounts.input_tokens] = fields[amounts.tokens] = tokens;
    fields[amounts.output_tokens] = fields[LIMIT_AT.assumed] = 0;
  }

  admit(provider: string, tokens = 0): number {
    this.fill(provider, tokens);
    return decide(this.map);
  }

  ticket(provider: string, tokens = 0): number {
    strictEqual(this.admit(provider, tokens), LIMIT_ADMITTED);
    return ticketOf(this.map);
  }

  move(ticket: number, provider: string, tokens = 0): number {
    this.fill(provider, tokens);
    return this.map.move(ticket, PROVIDER | TARGET);
  }

  /** How many tokens the key has left. */
  leftOfAll(): number {
    return this.left("elsewhere");
  }

  /** How many tokens a provider has left. */
  left(provider: string): number {
    let left = 0;
    for (let step = 128; step >= 1; step /= 2) {
      if (this.admit(provider, left + step) !== LIMIT_ADMITTED) continue;
      const tickets = [ticketOf(this.map), requestTicketOf(this.map)];
      for (const ticket of tickets) this.map.settle(ticket, 0, 0, 0);
      left += step;
    }
    return left;
  }
}

for (const rule of [TOKENS, WINDOW, BUDGET]) {
  test(`what a ${rule.name} has of it is given back where it was and taken where it goes`, (context) => {
    const stage = new Stage(context, rule);
    const ticket = stage.ticket("a", 10);
    strictEqual(stage.move(ticket, "b", 10), LIMIT_ADMITTED);
    deepStrictEqual([stage.left("a"), stage.left("b")], [100, 90]);
    stage.map.settle(ticket, 5, 0, 0);
    deepStrictEqual([stage.left("a"), stage.left("b")], [100, 95]);
  });

  test(`a ${rule.name} that is at its end there refuses, and all stays where it is`, (context) => {
    const stage = new Stage(context, rule);
    stage.map.settle(stage.ticket("b", 1), 95, 0, 0);
    const ticket = stage.ticket("a", 10);
    strictEqual(stage.move(ticket, "b", 10), LIMIT_REFUSED);
    deepStrictEqual([stage.left("a"), stage.left("b")], [90, 5]);
    strictEqual(stage.move(ticket, "c", 10), LIMIT_ADMITTED);
    deepStrictEqual([stage.left("a"), stage.left("b"), stage.left("c")], [100, 5, 90]);
  });

  test(`what an earlier attempt used counts in the ${rule.name} of its own provider, and in those of all`, (context) => {
    const stage = new Stage(context, rule, { ...rule, name: "all", scope: ["key"], limit: 110, burst: 110 });
    const ticket = stage.ticket("a", 10);
    const whole = requestTicketOf(stage.map);
    strictEqual(stage.move(ticket, "b", 10), LIMIT_ADMITTED);
    stage.fill("a", 0);
    stage.map.book(whole, 7, 0, 0);
    stage.map.settle(ticket, 5, 0, 0);
    stage.map.settle(whole, 5, 0, 0);
    deepStrictEqual([stage.left("a"), stage.left("b"), stage.leftOfAll()], [93, 95, 98]);
  });
}

test("limits of all targets or none: one that has no room leaves the other as it was", (context) => {
  const stage = new Stage(context, TOKENS, HELD);
  const other = stage.ticket("b", 1);
  const ticket = stage.ticket("a", 10);
  strictEqual(stage.move(ticket, "b", 10), LIMIT_REFUSED);
  strictEqual(stage.map.tallies()[1]?.rejected, 0, "it was admitted where it is");
  strictEqual(stage.admit("a"), LIMIT_REFUSED, "its permit stays there");
  stage.map.settle(other, 0, 0, 0);
  strictEqual(stage.move(ticket, "b", 10), LIMIT_ADMITTED);
  strictEqual(stage.admit("b"), LIMIT_REFUSED, "its permit went along");
  stage.map.settle(ticket, 10, 0, 0);
  deepStrictEqual([stage.left("a"), stage.left("b")], [100, 90]);
});

test("each provider that it is sent to counts a request", (context) => {
  const stage = new Stage(context, REQUESTS);
  strictEqual(stage.admit("a"), LIMIT_ADMITTED);
  const ticket = ticketOf(stage.map);
  strictEqual(stage.move(ticket, "b"), LIMIT_ADMITTED);
  strictEqual(stage.move(ticket, "b"), LIMIT_ADMITTED);
  strictEqual(stage.move(ticket, "b"), LIMIT_REFUSED);
  deepStrictEqual([stage.admit("a"), stage.admit("a")], [LIMIT_ADMITTED, LIMIT_REFUSED]);
});

test("another model of the same provider stays within what that one has of it", (context) => {
  const stage = new Stage(context, HELD, { ...TOKENS, name: "of target", scope: ["target"] });
  const ticket = stage.ticket("a", 10);
  stage.fill("a", 10, "another");
  strictEqual(stage.map.move(ticket, TARGET), LIMIT_ADMITTED);
  strictEqual(stage.admit("a"), LIMIT_REFUSED);
  stage.map.settle(ticket, 0, 0, 0);
  strictEqual(stage.left("a"), 100);
});

test("a request that reserved nothing before reserves at the next target", (context) => {
  const stage = new Stage(context, { ...TOKENS, scope: ["target"] });
  const { fields } = stage.map;
  stage.fill("a", 10);
  fields[parts.target] = -1;
  strictEqual(decide(stage.map), LIMIT_ADMITTED);
  strictEqual(ticketOf(stage.map), -1);
  strictEqual(stage.move(-1, "b", 10), LIMIT_ADMITTED);
  stage.map.settle(requestTicketOf(stage.map), 4, 0, 0);
  strictEqual(stage.left("b"), 96);
});
