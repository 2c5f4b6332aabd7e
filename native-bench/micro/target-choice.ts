/** What choosing a target costs where a model has several: nanoseconds per choice, by strategy and number of targets. */
import { nowMs, wallMs } from "../../src/base/clock.ts";
import { STRATEGIES } from "../../src/config/snapshot.ts";
import { nextChoice } from "../../src/pipeline/choose.ts";
import { chooseTarget } from "../../src/pipeline/route.ts";
import { exchangeOf, snapshotOf } from "../../test/support/exchange.ts";
import { compare } from "./contest.ts";

/** Choosers among `count` targets of the same priority, the first of which was tried. */
function choosers(count: number): Record<string, () => unknown> {
  const targets = Array.from({ length: count }, (_, i) => ({
    provider: "main",
    model: `m${i}`,
    weight: i + 1,
    priority: 0,
  }));
  const entries = STRATEGIES.map((strategy): [string, () => unknown] => {
    const route = snapshotOf({ models: { several: { targets, strategy, attempts: count } } }).routes.get("several");
    if (route === undefined) throw new Error("the route is not there");
    const exchange = exchangeOf();
    return [`${strategy} of ${count}`, () => nextChoice(exchange, route, 1, Math.random(), wallMs(0))];
  });
  return Object.fromEntries(entries);
}

/** What a request does: the clock, the choice, and its breaker. */
function request(count: number): () => unknown {
  const targets = Array.from({ length: count }, (_, i) => ({
    provider: "main",
    model: `m${i}`,
    weight: i + 1,
    priority: 0,
  }));
  const snapshot = snapshotOf({ models: { several: { targets, strategy: "weighted", attempts: count } } });
  const route = snapshot.routes.get("several");
  if (route === undefined) throw new Error("the route is not there");
  const exchange = exchangeOf({ snapshot });
  return () => chooseTarget(exchange, route, 0, wallMs(nowMs()), Math.random);
}

compare("choice of a target", "clock read", {
  ...choosers(2),
  ...choosers(16),
  "a request, of 2": request(2),
  "a request, of 16": request(16),
  "clock read": nowMs,
});
