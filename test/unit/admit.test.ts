/**
 * Admission where limits count targets apart: whichever target of a route has room takes a request, those of its fallbacks as well; when none has,
 * the client is told of the one that has room first. Over the real map, with time in our hand.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import type { LimitRule } from "../../src/base/limit-terms.ts";
import { compileSnapshot } from "../../src/config/compile.ts";
import type { ExplainQuestion } from "../../src/config/explanation.ts";
import type { ModelConfig } from "../../src/config/model.ts";
import type { Snapshot } from "../../src/config/snapshot.ts";
import { native } from "../../src/native/native.ts";
import { admitSomewhere, attemptSomewhere } from "../../src/pipeline/admit.ts";
import { ENDPOINT_CHAT } from "../../src/pipeline/endpoint.ts";
import type { Exchange, Verdict } from "../../src/pipeline/exchange.ts";
import { explain } from "../../src/pipeline/explain.ts";
import { Limiter } from "../../src/pipeline/limit.ts";
import { route } from "../../src/pipeline/route.ts";
import { lineId } from "../../src/pipeline/wait-line-id.ts";
import { type LimitsMap, prepareLimits } from "../../src/shm/limits.ts";
import { exchangeOf } from "../support/exchange.ts";
import { DAY_MS, directoryOf, HELD_TIME_MS, MINUTE_MS, ruleOf, SECOND_MS } from "../support/limits.ts";
import { configOf, providerConfig } from "../support/request-path.ts";

const ends = (...names: readonly string[]) =>
  names.map((model) => ({ provider: "main", model, weight: 1, priority: 0 }));
const modelWith = (changes: Partial<ModelConfig>, ...names: readonly string[]): ModelConfig => {
  return { targets: ends(...names), strategy: "priority", attempts: 4, ...changes };
};
const MODELS = {
  chat: modelWith({}, "a", "b", "c"),
  chained: modelWith({ fallbacks: { default: ends("a", "b", "c") } }, "a"),
  alone: modelWith({ fallbacks: { rate_limit: ends("b", "c") } }, "a"),
  onlyA: modelWith({}, "a"),
  onlyB: modelWith({}, "b"),
  onlyC: modelWith({}, "c"),
};
type Alias = keyof typeof MODELS;

/** One a minute for each target. */
const EACH = ruleOf({ name: "each", scope: ["target"], limit: 1, periodMs: MINUTE_MS });

class Stage {
  readonly map: LimitsMap;
  readonly limiter: Limiter;
  readonly snapshot: Snapshot;
  readonly alerts: string[] = [];
  #nowMs = 0;

  constructor(context: TestContext, ...limits: readonly LimitRule[]) {
    this.snapshot = compileSnapshot(configOf({ main: providerConfig(9) }, "/nowhere", { models: MODELS, limits }), 1);
    this.map = prepareLimits(directoryOf(context));
    this.limiter = new Limiter(this.map, ({ budget, percent }) => this.alerts.push(`${budget} ${percent}`));
    this.pass(0);
    this.limiter.configure(this.snapshot);
  }

  pass(ms: number): void {
    this.#nowMs += ms;
    native.limitsHoldTime(HELD_TIME_MS + this.#nowMs);
  }

  request(alias: Alias, changes: Partial<Exchange> = {}): Exchange {
    const exchange = exchangeOf({ snapshot: this.snapshot });
    exchange.endpoint = ENDPOINT_CHAT;
    exchange.key = this.snapshot.keyRecords[0] ?? null;
    Object.assign(exchange, { model: alias, ...changes });
    strictEqual(route(exchange), null);
    return exchange;
  }

  ask(alias: Alias, changes: Partial<Exchange> = {}): { exchange: Exchange; verdict: Verdict } {
    const exchange = this.request(alias, changes);
    return { exchange, verdict: admitSomewhere(exchange, this.limiter) };
  }

  /** Where it is admitted, or why it is not and for how long, in seconds. */
  outcome(alias: Alias, changes: Partial<Exchange> = {}): unknown {
    const { exchange, verdict } = this.ask(alias, changes);
    const at = exchange.target?.upstreamModel;
    return verdict === null ? at : [verdict.code, at, retryMs(exchange) / SECOND_MS];
  }

  /** What each limit is said to have refused. */
  rejections(): number[] {
    return this.map.tallies().map(({ rejected }) => rejected);
  }

  explained(alias: Alias): unknown {
    const question: ExplainQuestion = {
      key: "wide",
      path: "/v1/chat/completions",
      headers: [],
      body: `{"model":"${alias}"}`,
      address: "",
    };
    const { refusal } = explain(this.snapshot, this.limiter, question);
    return refusal === null ? null : [refusal.status, refusal.code, refusal.retryAfterMs / SECOND_MS];
  }
}

function retryMs({ retryLines }: Exchange): number {
  return Number(/\r\nretry-after-ms: (\d+)/.exec(retryLines)?.[1] ?? Number.NaN);
}

/** Each of the three is used, twenty seconds after the one before, in this order. */
function useUp(stage: Stage, ...order: readonly Alias[]): void {
  for (const alias of order) {
    strictEqual(stage.ask(alias).verdict, null);
    stage.pass(20 * SECOND_MS);
  }
}

test("when all targets refuse, the client waits for the first that has room, wherever it stands", (context) => {
  const stage = new Stage(context, EACH);
  useUp(stage, "onlyB", "onlyA", "onlyC");
  // Of the first, 60 seconds are over at this moment.
  strictEqual(stage.outcome("chat"), "b");
  deepStrictEqual(stage.outcome("chat"), ["rate_limit_exceeded", "a", 20]);
  deepStrictEqual(stage.explained("chat"), [429, "rate_limit_exceeded", 20]);
  stage.pass(20 * SECOND_MS);
  strictEqual(stage.outcome("chat"), "a");
  deepStrictEqual(stage.outcome("chat"), ["rate_limit_exceeded", "c", 20]);
  const { exchange, verdict } = stage.ask("chat");
  deepStrictEqual([verdict, verdict?.status, exchange.refusedBy], [ERRORS.limitReached, 429, "each"]);
  match(exchange.retryLines, /\r\nretry-after: 20\r\nretry-after-ms: 20000$/);
});

test("fallbacks stand in for targets whose limits have no room, each of them, also where one of them is a target itself", (context) => {
  for (const alias of ["chained", "alone"] as const) {
    const stage = new Stage(context, EACH);
    const seen = Array.from({ length: 3 }, () => stage.outcome(alias));
    deepStrictEqual(seen, ["a", "b", "c"]);
    deepStrictEqual(stage.outcome(alias), ["rate_limit_exceeded", "a", 60]);
    stage.pass(MINUTE_MS);
    strictEqual(stage.outcome(alias), "a");
  }
});

test("what another target takes is no rejection, and what none takes is one, however many refused it", (context) => {
  const watched = ruleOf({ name: "watched", scope: [], limit: 1, periodMs: DAY_MS, observes: true });
  const stage = new Stage(context, EACH, watched);
  deepStrictEqual(
    ["chat", "chat", "chained"].map((alias) => stage.outcome(alias as Alias)),
    ["a", "b", "c"],
  );
  deepStrictEqual(stage.rejections(), [0, 0]);
  strictEqual(stage.map.tallies()[1]?.observed, 2);
  for (const alias of ["chat", "chained", "onlyA"] as const) strictEqual(stage.ask(alias).verdict, ERRORS.limitReached);
  deepStrictEqual(stage.rejections(), [3, 0]);
});

/** 100 tokens a day at each target. */
const SPENT = ruleOf({
  name: "spent",
  quantity: "tokens",
  kind: "budget",
  scope: ["target"],
  limit: 100,
  periodMs: 0,
  calendar: { per: "day", timeZone: "UTC" },
});

test("a budget that is used up at one target is not told where waiting for another one helps", (context) => {
  const stage = new Stage(context, SPENT, EACH);
  const usesAll = { outputTokensMax: 100 };
  strictEqual(stage.outcome("onlyA", usesAll), "a");
  strictEqual(stage.outcome("onlyC", usesAll), "c");
  strictEqual(stage.outcome("onlyB", { outputTokensMax: 0 }), "b");
  stage.pass(MINUTE_MS / 2);
  deepStrictEqual(stage.outcome("chat", { outputTokensMax: 1 }), ["rate_limit_exceeded", "b", 30]);
  deepStrictEqual(stage.explained("chat"), [429, "rate_limit_exceeded", 30]);
  stage.pass(MINUTE_MS);
  strictEqual(stage.outcome("chat", usesAll), "b");
  stage.pass(MINUTE_MS);
  const { verdict } = stage.ask("chat", { outputTokensMax: 1 });
  strictEqual(verdict, ERRORS.budgetUsedUp);
});

test("a budget of a target that comes to its end is told of, also where another target takes the request", (context) => {
  const stage = new Stage(context, { ...SPENT, alertAt: [100] });
  strictEqual(stage.outcome("onlyA", { outputTokensMax: 60 }), "a");
  strictEqual(stage.outcome("chat", { outputTokensMax: 60 }), "b");
  deepStrictEqual([stage.alerts, stage.rejections()], [["spent 100"], [0]]);
});

test("a limit that is not of targets refuses at the first of them, and sends nobody on", (context) => {
  const stage = new Stage(context, ruleOf({ name: "key", scope: ["key"], limit: 1, periodMs: DAY_MS }), EACH);
  strictEqual(stage.outcome("onlyA"), "a");
  const { exchange, verdict } = stage.ask("chat");
  deepStrictEqual([verdict, exchange.refusedBy, exchange.full], [ERRORS.limitReached, "key", 0]);
  deepStrictEqual(stage.rejections(), [1, 0], "other targets have room");
});

test("who may wait waits at the target that has room first, and is asked of all again", (context) => {
  const stage = new Stage(context, EACH);
  useUp(stage, "onlyB", "onlyA", "onlyC");
  stage.pass(-10 * SECOND_MS);
  const exchange = stage.request("chat");
  const refused = attemptSomewhere(exchange, stage.limiter);
  deepStrictEqual([refused?.rule?.name, refused?.retryMs], ["each", 10 * SECOND_MS]);
  ok(refused?.rule, "it has a rule");
  match(lineId(exchange, refused.rule), /\nmain\/b$/);
  strictEqual(admitSomewhere(exchange, stage.limiter), ERRORS.limitReached);
  deepStrictEqual([retryMs(exchange), exchange.target?.upstreamModel], [10 * SECOND_MS, "b"]);
});

test("a large body is waited for where limits of targets may send it elsewhere", (context) => {
  const stage = new Stage(context, EACH);
  deepStrictEqual(
    (["chat", "alone", "onlyA"] as const).map((alias) => stage.limiter.wantsWhole(stage.request(alias))),
    [true, true, false],
  );
});
