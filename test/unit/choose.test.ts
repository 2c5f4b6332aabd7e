/** Which target is next: by priority, then by the strategy, and never one that was tried. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { TargetConfig } from "../../src/config/model.ts";
import { type Route, STRATEGIES, type Strategy } from "../../src/config/snapshot.ts";
import { nextChoice } from "../../src/pipeline/choose.ts";
import { classify } from "../../src/pipeline/endpoint.ts";
import { enterTarget, leaveTarget, route } from "../../src/pipeline/route.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";
import { enterTimes } from "../support/in-flight.ts";

function target(model: string, weight = 1, priority = 0): TargetConfig {
  return { provider: "main", model, weight, priority };
}

function routeOf(strategy: Strategy, targets: readonly TargetConfig[]): Route {
  const found = snapshotOf({ models: { several: { targets, strategy, attempts: 2 } } }).routes.get("several");
  if (found === undefined) throw new Error("the route is not there");
  return found;
}

const exchange = exchangeOf();
const WALL_MS = 1.8e12;

function names(found: Route, tries: number, tried = 0, chance = () => 0): string[] {
  return Array.from({ length: tries }, () => {
    return nextChoice(exchange, found, tried, chance(), WALL_MS)?.target.upstreamModel ?? "none";
  });
}

for (const strategy of STRATEGIES) {
  test(`${strategy}: each target is tried once, those of a lower number first, and then none is left`, () => {
    const found = routeOf(strategy, [target("c", 1, 2), target("a"), target("d", 9, 2), target("b")]);
    const order: string[] = [];
    let tried = 0;
    for (let i = 0; i < 4; i += 1) {
      const choice = nextChoice(exchange, found, tried, 0.99, WALL_MS);
      order.push(choice?.target.upstreamModel ?? "none");
      tried |= 1 << (choice?.place ?? 0);
    }
    deepStrictEqual(
      [order.slice(0, 2).sort(), order.slice(2).sort()],
      [
        ["a", "b"],
        ["c", "d"],
      ],
    );
    strictEqual(nextChoice(exchange, found, tried, 0.5, WALL_MS), null);
  });
}

test("priority: the first in the file, and the next one when it was tried", () => {
  const found = routeOf("priority", [target("a"), target("b"), target("c")]);
  deepStrictEqual([names(found, 2), names(found, 1, 0b001), names(found, 1, 0b011)], [["a", "a"], ["b"], ["c"]]);
});

test("weighted: each has its share of chance, also when one of them was tried", () => {
  const found = routeOf("weighted", [target("a", 1), target("b", 6), target("c", 3)]);
  const spread = (tried: number) => {
    let step = 0;
    const all = names(found, 100, tried, () => (step++ + 0.5) / 100);
    return ["a", "b", "c"].map((name) => all.filter((one) => one === name).length);
  };
  deepStrictEqual(
    [spread(0), spread(0b010)],
    [
      [10, 60, 30],
      [25, 0, 75],
    ],
  );
});

test("round robin: one after the other, evenly within a priority", () => {
  const found = routeOf("round_robin", [target("a"), target("b"), target("z", 1, 1)]);
  deepStrictEqual(names(found, 5), ["a", "b", "a", "b", "a"]);
});

test("least in flight: the emptiest for its weight, and in turn where they are equal", () => {
  const found = routeOf("least_in_flight", [target("a"), target("b", 2), target("c")]);
  deepStrictEqual(names(found, 4), ["a", "b", "c", "a"]);
  const [a, b, c] = found.choices.map(({ state }) => state);
  ok(a && b && c);
  for (const [state, times] of [[a, 2] as const, [b, 3] as const, [c, 2] as const]) enterTimes(state.inFlight, times);
  deepStrictEqual(names(found, 2), ["b", "b"]);
  enterTimes(b.inFlight, 2);
  deepStrictEqual(
    names(found, 4).filter((name) => name === "b"),
    [],
  );
});

test("a request of a route with several targets has one of them, and is counted there while it runs", () => {
  const targets = [target("a"), target("b")];
  const snapshot = snapshotOf({ models: { several: { targets, strategy: "least_in_flight", attempts: 2 } } });
  const begin = () => {
    const exchange = exchangeOf({ snapshot });
    classify(exchange);
    exchange.model = "several";
    strictEqual(route(exchange), null);
    enterTarget(exchange);
    enterTarget(exchange);
    return exchange;
  };
  const first = begin();
  const second = begin();
  deepStrictEqual([first.target?.upstreamModel, second.target?.upstreamModel], ["a", "b"]);
  leaveTarget(second);
  leaveTarget(second);
  deepStrictEqual(
    [first.choice?.state.inFlight.count, second.choice?.state.inFlight.count, begin().target?.upstreamModel],
    [1, 0, "b"],
  );
});
