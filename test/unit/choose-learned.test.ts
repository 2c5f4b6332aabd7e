/** Strategies that choose by what is known of targets: latency, cost and headroom. Time and chance are the test's. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { machineMs, wallMs } from "../../src/base/clock.ts";
import type { TargetConfig } from "../../src/config/model.ts";
import { type Choice, type Price, type Route, STRATEGIES, type Strategy } from "../../src/config/snapshot.ts";
import { learnAnswers } from "../../src/pipeline/answer-size.ts";
import { nextChoice } from "../../src/pipeline/choose.ts";
import { ENDPOINT_CHAT, ENDPOINT_EMBEDDINGS } from "../../src/pipeline/endpoint.ts";
import { report, spend } from "../../src/pipeline/headroom.ts";
import { ask, observe } from "../../src/pipeline/latency.ts";
import { tickOf } from "../../src/pipeline/machine-ticks.ts";
import { route, routeEarly } from "../../src/pipeline/route.ts";
import { TARGET_AT } from "../../src/shm/targets.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";
import { enterTimes } from "../support/in-flight.ts";

const WALL_MS = 1.8e12;
const NOW = tickOf(WALL_MS);

function target(model: string, priority = 0): TargetConfig {
  return { provider: "main", model, weight: 1, priority };
}

function routeOf(strategy: Strategy, targets: readonly TargetConfig[], prices: Record<string, Price> = {}): Route {
  const models = { several: { targets, strategy, attempts: 2 } };
  return snapshotOf({ models, prices }).routes.get("several") as Route;
}

function choiceOf(route: Route, model: string): Choice {
  return route.choices.find(({ target: one }) => one.upstreamModel === model) as Choice;
}

const exchange = exchangeOf();

/** Over all of chance, evenly. */
function names(route: Route, tries: number, tried = 0): string[] {
  return Array.from({ length: tries }, (_, i) => {
    return nextChoice(exchange, route, tried, (i + 0.5) / tries, WALL_MS)?.target.upstreamModel ?? "none";
  });
}

function answers(route: Route, model: string, ms: number, at: number = TARGET_AT.whole): void {
  observe(choiceOf(route, model).state.learned, at, ms, NOW);
}

test("latency: of two, the faster one; in proportion to what is in flight", () => {
  const route = routeOf("latency", [target("a"), target("b")]);
  answers(route, "a", 100);
  answers(route, "b", 350);
  deepStrictEqual(new Set(names(route, 20)), new Set(["a"]));
  enterTimes(choiceOf(route, "a").state.inFlight, 3);
  deepStrictEqual(new Set(names(route, 20)), new Set(["b"]));
  deepStrictEqual(names(route, 1, 0b10), ["a"]);
});

test("latency: of many, two are compared: the slowest is never chosen, the others as often as they win", () => {
  const route = routeOf("latency", [target("a"), target("b"), target("c"), target("d", 1)]);
  for (const [i, name] of ["a", "b", "c", "d"].entries()) answers(route, name, 100 * (4 - i));
  const all = names(route, 600);
  deepStrictEqual(
    ["a", "b", "c", "d"].map((name) => all.filter((one) => one === name).length),
    [0, 200, 400, 0],
  );
});

test("latency: streams and whole answers are not compared", () => {
  const route = routeOf("latency", [target("a"), target("b")]);
  answers(route, "a", 9_000);
  answers(route, "b", 8_000);
  answers(route, "a", 100, TARGET_AT.stream);
  answers(route, "b", 200, TARGET_AT.stream);
  deepStrictEqual(new Set(names(route, 10)), new Set(["b"]));
  exchange.stream = true;
  deepStrictEqual(new Set(names(route, 10)), new Set(["a"]));
  exchange.stream = false;
});

test("latency: a target of which nothing is known is tried, by one request", () => {
  const route = routeOf("latency", [target("a"), target("new")]);
  answers(route, "a", 100);
  deepStrictEqual(new Set(names(route, 10)), new Set(["new"]));
  ask(choiceOf(route, "new").state.learned, TARGET_AT.whole, NOW);
  deepStrictEqual(new Set(names(route, 10)), new Set(["a"]));
});

const CHEAP_IN: Price = { inputPico: 100_000, cachedInputPico: 0, outputPico: 900_000 };
const CHEAP_OUT: Price = { inputPico: 400_000, cachedInputPico: 0, outputPico: 500_000 };

test("cost: by the prompt and what the request allows, those without a price last", () => {
  const route = routeOf("cost", [target("free"), target("in"), target("out")], { in: CHEAP_IN, out: CHEAP_OUT });
  exchange.endpoint = ENDPOINT_CHAT;
  exchange.textBytes = 40_000;
  exchange.outputTokensMax = 10;
  deepStrictEqual(names(route, 2), ["in", "in"]);
  exchange.textBytes = 40;
  exchange.outputTokensMax = 1_000;
  deepStrictEqual(names(route, 2), ["out", "out"]);
  exchange.outputTokensMax = -1;
  deepStrictEqual(names(route, 2), ["out", "out"]);
  exchange.endpoint = ENDPOINT_EMBEDDINGS;
  deepStrictEqual(names(route, 2), ["in", "in"]);
  deepStrictEqual(names(route, 1, 0b110), ["free"]);
});

test("cost: the price of a name that is the client's is looked up; equal ones take turns", () => {
  const models = {
    "*": {
      targets: [{ ...target("x"), model: null }, { ...target("y"), model: null, provider: "main" }, target("dear")],
      strategy: "cost" as const,
      attempts: 2,
    },
  };
  const snapshot = snapshotOf({ models, prices: { dear: CHEAP_OUT, asked: CHEAP_IN } });
  const one = exchangeOf({ snapshot });
  [one.model, one.endpoint, one.textBytes] = ["asked", ENDPOINT_EMBEDDINGS, 400];
  const route = snapshot.anyModel as Route;
  const places = Array.from({ length: 4 }, () => nextChoice(one, route, 0, 0, WALL_MS)?.place);
  deepStrictEqual(places, [0, 1, 0, 1]);
});

/** Says of a target how many of 100 requests are left. */
function leaves(route: Route, model: string, remaining: number): void {
  const { learned } = choiceOf(route, model).state;
  const mark = spend(learned, TARGET_AT.requests, 1);
  report(learned, TARGET_AT.requests, { limit: 100, remaining, resetMs: 5_000 }, mark, NOW);
}

test("headroom: the largest share that is left, and none until the reset where nothing is", () => {
  const route = routeOf("headroom", [target("a"), target("b"), target("later", 1)]);
  leaves(route, "a", 40);
  leaves(route, "b", 60);
  deepStrictEqual(names(route, 2), ["b", "b"]);
  spend(choiceOf(route, "b").state.learned, TARGET_AT.requests, 30);
  deepStrictEqual(names(route, 2), ["a", "a"]);
  leaves(route, "a", 0);
  leaves(route, "b", 0);
  deepStrictEqual(names(route, 2), ["later", "later"]);
  leaves(route, "later", 0);
  deepStrictEqual(names(route, 3), ["a", "b", "a"]);
  strictEqual(nextChoice(exchange, route, 0, 0, WALL_MS + 5_100)?.priority, 0);
});

test("headroom: where providers say nothing it goes round by what is in flight, and one that says something has its share", () => {
  const route = routeOf("headroom", [target("a"), target("b"), target("c")]);
  deepStrictEqual(names(route, 6), ["a", "b", "c", "a", "b", "c"]);
  leaves(route, "a", 40);
  deepStrictEqual(new Set(names(route, 6)), new Set(["b", "c"]));
  for (const name of ["b", "c"]) enterTimes(choiceOf(route, name).state.inFlight, 2);
  deepStrictEqual(new Set(names(route, 6)), new Set(["a"]));
});

/** Of a route, for a request with 1,000 tokens that does not say how many more it takes. */
function namesOfOpenEnded(route: Route): string[] {
  const open = exchangeOf();
  Object.assign(open, { route, endpoint: ENDPOINT_CHAT, textBytes: 4_000 });
  return Array.from({ length: 2 }, () => nextChoice(open, route, 0, 0, WALL_MS)?.target.upstreamModel ?? "none");
}

test("cost: what a request does not say is what answers of its route usually have", () => {
  const route = routeOf("cost", [target("in"), target("out")], { in: CHEAP_IN, out: CHEAP_OUT });
  deepStrictEqual(namesOfOpenEnded(route), ["in", "in"]);
  learnAnswers(route.answers, 200, 3_000);
  deepStrictEqual(namesOfOpenEnded(route), ["out", "out"]);
  learnAnswers(route.answers, 200, 20);
  deepStrictEqual(namesOfOpenEnded(route), ["in", "in"]);
});

test("headroom: the same, for what a request takes of a limit of tokens", () => {
  const route = routeOf("headroom", [target("a"), target("b")]);
  for (const [model, limit, remaining] of [["a", 100_000, 6_000] as const, ["b", 10_000, 4_500] as const]) {
    const { learned } = choiceOf(route, model).state;
    for (const at of [TARGET_AT.requests, TARGET_AT.tokens]) {
      const mark = spend(learned, at, 1);
      report(learned, at, { limit, remaining, resetMs: 5_000 }, mark, NOW);
    }
  }
  deepStrictEqual(namesOfOpenEnded(route), ["b", "b"]);
  learnAnswers(route.answers, 200, 4_000);
  deepStrictEqual(namesOfOpenEnded(route), ["a", "a"]);
});

for (const strategy of STRATEGIES) {
  test(`${strategy}: a request whose body still comes has a target when nothing else of it decides`, () => {
    const models = { several: { targets: [target("a"), target("b")], strategy, attempts: 1 } };
    const early = exchangeOf({ snapshot: snapshotOf({ models }) });
    early.model = "several";
    strictEqual(routeEarly(early), null);
    const waits = strategy === "latency" || strategy === "cost" || strategy === "headroom";
    deepStrictEqual([early.route?.alias, early.target === null], ["several", waits]);
    strictEqual(route(early), null);
    strictEqual(early.target === null, false);
    early.model = "unknown";
    strictEqual(routeEarly(early)?.code, "model_not_found");
  });
}

test("the clock of the machine is the same whatever the wall clock of a process said when it began", () => {
  const before = process.hrtime.bigint();
  const machine = machineMs(wallMs(performance.now()));
  const after = process.hrtime.bigint();
  ok(machine > Number(before) / 1e6 - 5 && machine < Number(after) / 1e6 + 5, `${before} ${machine} ${after}`);
});
