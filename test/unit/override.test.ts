/** Requests that choose for themselves: what a key permits, what a header can name, and what later tries make of it. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { nowMs, wallMs } from "../../src/base/clock.ts";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import { OVERRIDES, type Override, overrideHeader } from "../../src/base/overrides.ts";
import type { ArmConfig, ArmsConfig } from "../../src/config/arm.ts";
import { conditionOf, WHEN } from "../../src/config/condition.ts";
import { checkForm } from "../../src/config/finding.ts";
import { checkText } from "../../src/config/load.ts";
import type { ModelConfig } from "../../src/config/model.ts";
import type { Config } from "../../src/config/schema.ts";
import type { Snapshot, Strategy } from "../../src/config/snapshot.ts";
import { fail } from "../../src/pipeline/breaker.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { takeTimeout } from "../../src/pipeline/override.ts";
import { chooseTarget, route, routeEarly } from "../../src/pipeline/route.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";

function targets(...names: readonly string[]): ModelConfig {
  const list = names.map((model) => ({ provider: "main", model, weight: 1, priority: 0 }));
  return { targets: list, strategy: "priority", attempts: 4 };
}

const { form: tools } = checkForm({ header: { "x-a": "1" } }, WHEN);
if (tools === null) throw new Error("a condition");
const MODEL: ModelConfig = {
  ...targets("a", "b", "c"),
  routes: [{ name: "long", when: conditionOf(tools), to: targets("l1", "l2") }],
};

const MODELS: Config["models"] = { m: MODEL, one: targets("o"), two: targets("t1", "t2") };

function asked(
  headers: Readonly<Record<string, string>>,
  overrides: readonly Override[] = OVERRIDES,
  models: Config["models"] = MODELS,
) {
  return askedOf(snapshotWith(models, overrides), headers);
}

function snapshotWith(models: Config["models"], overrides: readonly Override[]): Snapshot {
  const key = { name: "k", hash: "h", enabled: true, expiresAtMs: null, models: null, team: null, overrides };
  return snapshotOf({ models, keys: [key] });
}

function askedOf(snapshot: Snapshot, headers: Readonly<Record<string, string>>) {
  const exchange = newExchange(snapshot, headers);
  return { exchange, refusal: takeTimeout(exchange) ?? route(exchange) };
}

function newExchange(snapshot: Snapshot, headers: Readonly<Record<string, string>>) {
  const exchange = exchangeOf({ snapshot });
  exchange.key = snapshot.keyRecords[0] ?? null;
  exchange.model = headers["model"] ?? "m";
  exchange.ownLines = Object.entries(headers)
    .map(([name, value]) => `\r\n${isOverride(name) ? overrideHeader(name) : `x-sluice-${name}`}: ${value}`)
    .join("");
  return exchange;
}

function isOverride(name: string): name is Override {
  return OVERRIDES.some((override) => override === name);
}

function chosen(headers: Readonly<Record<string, string>>): unknown[] {
  const { exchange, refusal } = asked(headers);
  strictEqual(refusal, null);
  return [exchange.route?.name, exchange.target?.upstreamModel, exchange.route?.attempts];
}

/** Where a request that failed at its first target goes next. */
function next({ exchange }: { exchange: Exchange }): unknown {
  const { route: taken, choice } = exchange;
  if (taken === null || choice === null) throw new Error("it has a choice");
  return chooseTarget(exchange, taken, 1 << choice.place, 0, () => 0) ? exchange.target?.upstreamModel : null;
}

test("a target, a route, fewer tries", () => {
  deepStrictEqual(
    [
      chosen({}),
      chosen({ target: "main/b" }),
      chosen({ target: "main/l2" }),
      chosen({ route: "long" }),
      chosen({ route: "m/long", target: "main/l2" }),
      chosen({ route: "m" }),
      chosen({ attempts: "2" }),
      chosen({ attempts: "9" }),
      chosen({ target: "main/o", model: "one" }),
      chosen({ explain: "1" }),
    ],
    [
      ["m", "a", 4],
      ["m", "b", 4],
      ["m/long", "l2", 4],
      ["m/long", "l1", 4],
      ["m/long", "l2", 4],
      ["m", "a", 4],
      ["m", "a", 2],
      ["m", "a", 4],
      ["one", "o", 4],
      ["m", "a", 4],
    ],
  );
});

test("what was chosen holds for later tries", () => {
  deepStrictEqual(
    [next(asked({})), next(asked({ target: "main/a" })), next(asked({ fallback: "none" }))],
    ["b", null, null],
  );
  const { exchange } = asked({ fallback: "none" });
  const { route: taken } = exchange;
  if (taken === null) throw new Error("it has a route");
  deepStrictEqual([chooseTarget(exchange, taken, 0, 0, () => 0), exchange.target?.upstreamModel], [true, "a"]);
});

test("who wants one target is told when that one is back, and not when others are", () => {
  const snapshot = snapshotWith(MODELS, OVERRIDES);
  const { breaker, choices } = snapshot.routes.get("m") ?? {};
  const slot = choices?.[1]?.state.breaker;
  if (slot === undefined || !breaker) throw new Error("it has breakers");
  strictEqual(fail(slot, wallMs(nowMs()), breaker, false, 60_000, 0), true);
  const { exchange, refusal } = askedOf(snapshot, { target: "main/b" });
  strictEqual(refusal, ERRORS.noTarget);
  match(exchange.retryLines, /\r\nretry-after: (?:60|59)\r\n/);
  strictEqual(askedOf(snapshot, { target: "main/a" }).refusal, null);
});

test("a request that names no model cannot choose among targets of one", () => {
  const asking = (headers: Readonly<Record<string, string>>, overrides?: readonly Override[]) => {
    const { refusal } = asked({ model: "", ...headers }, overrides);
    return refusal?.code;
  };
  deepStrictEqual(
    [
      asking({ target: "main/a" }, []),
      asking({ target: "main/a" }),
      asking({ route: "long" }),
      asking({ attempts: "1", explain: "1" }),
      asking({}),
    ],
    [ERRORS.overrideNotAllowed.code, ERRORS.overrideInvalid.code, ERRORS.overrideInvalid.code, undefined, undefined],
  );
});

test("a route that was chosen has its arms, and a target is past them", () => {
  const list = ["a", "b"].map((name, first): ArmConfig => {
    return { name, share: first, first, count: 1, strategy: "priority", attempts: 1, retries: true };
  });
  const arms: ArmsConfig = { sticky: "key", header: "", list, rollback: null };
  const shared = { ...targets("a", "b"), arms };
  const models = { m: { ...shared, routes: [{ name: "long", when: conditionOf(tools), to: shared }] } };
  const armOf = (headers: Readonly<Record<string, string>>) => {
    const { exchange, refusal } = asked(headers, OVERRIDES, models);
    return [refusal, exchange.route?.name, exchange.route?.arm?.name, exchange.target?.upstreamModel];
  };
  deepStrictEqual(
    [armOf({}), armOf({ route: "m" }), armOf({ route: "long" }), armOf({ route: "long", target: "main/a" })],
    [
      [null, "m", "b", "b"],
      [null, "m", "b", "b"],
      [null, "m/long", "b", "b"],
      [null, "m/long", undefined, "a"],
    ],
  );
});

/** The targets that requests with these headers begin at, one after the other. */
function begun(count: number, headers: Readonly<Record<string, string>>, models: Config["models"]): unknown[] {
  const snapshot = snapshotWith(models, OVERRIDES);
  return Array.from({ length: count }, () => {
    const { exchange, refusal } = askedOf(snapshot, headers);
    return refusal ?? exchange.target?.upstreamModel;
  });
}

test("a strategy stands in the place of the route's", () => {
  const chance = { m: { ...targets("a", "b", "c"), strategy: "round_robin" as const } };
  deepStrictEqual(begun(4, { strategy: "round_robin" }, MODELS), ["a", "b", "c", "a"]);
  deepStrictEqual(begun(3, { strategy: "round_robin", route: "long" }, MODELS), ["l1", "l2", "l1"]);
  deepStrictEqual(begun(3, { strategy: "priority" }, chance), ["a", "a", "a"]);
  deepStrictEqual(begun(2, { strategy: "hash", model: "one" }, MODELS), ["o", "o"]);
  strictEqual(new Set(begun(9, { strategy: "hash" }, MODELS)).size, 1);
  deepStrictEqual(chosen({ strategy: "cost", attempts: "2", target: "main/b" }), ["m", "b", 2]);
});

test("a strategy holds for arms and canaries of the route as well", () => {
  const list = [
    { name: "all", share: 1, first: 0, count: 3, strategy: "priority", attempts: 3, retries: true } as const,
  ];
  const arms: ArmsConfig = { sticky: "none", header: "", list, rollback: null };
  const models = { m: { ...targets("a", "b", "c"), arms } };
  deepStrictEqual(begun(3, { strategy: "round_robin" }, models), ["a", "b", "c"]);
});

test("what a strategy that was chosen learns is known to those who choose it later, and its fallbacks are the route's", () => {
  const away = { provider: "main", model: "away", weight: 1, priority: 0 };
  const models = { m: { ...targets("a", "b"), attempts: 3, fallbacks: { default: [away] } } };
  const snapshot = snapshotWith(models, OVERRIDES);
  const { exchange } = askedOf(snapshot, { strategy: "latency" });
  const { route: taken, choice } = exchange;
  if (taken === null || choice === null) throw new Error("it has a choice");
  deepStrictEqual(
    [taken.strategy, choice.learns, taken.fallbacks?.instead.map(({ learns }) => learns)],
    ["latency", "latency", ["latency"]],
  );
  const own = snapshot.routes.get("m");
  strictEqual(own?.choices[choice.place]?.state, choice.state);
  strictEqual(own?.turn, taken.turn, "all workers take turns with one word");
  deepStrictEqual([own?.strategy, own?.choices.map(({ learns }) => learns)], ["priority", [null, null]]);
  const again = askedOf(snapshot, { strategy: "latency" });
  strictEqual(again.exchange.route, taken);
});

test("a strategy that goes by the body waits for it, and one that does not does not", () => {
  const early = (strategy: Strategy) => {
    const exchange = newExchange(snapshotWith(MODELS, OVERRIDES), { model: "two", strategy });
    return [routeEarly(exchange), exchange.target?.upstreamModel];
  };
  deepStrictEqual(early("round_robin"), [null, "t1"]);
  for (const strategy of ["latency", "cost", "headroom"] as const) deepStrictEqual(early(strategy), [null, undefined]);
});

test("less time than the configuration gives, and never more", () => {
  const totalOf = (headers: Readonly<Record<string, string>>) => asked(headers).exchange.totalMs;
  deepStrictEqual([totalOf({}), totalOf({ timeout: "250" }), totalOf({ timeout: "60001" })], [60_000, 250, 60_000]);
});

const TARGETS = "x-sluice-target (PROVIDER/MODEL, a target of this model)";
const ROUTES = "x-sluice-route (a route of this model)";
const NAMED = "x-sluice-strategy (priority, weighted, round_robin, least_in_flight, latency, cost, headroom, hash)";
const TIMES = "x-sluice-timeout-ms (1 to 999999999)";
const WRONG: [what: string, headers: Readonly<Record<string, string>>, detail: string][] = [
  ["a target of another model", { target: "main/o" }, TARGETS],
  ["a target of another route", { route: "m", target: "main/l1" }, ROUTES],
  ["a route that is none", { route: "short" }, ROUTES],
  ["no tries", { attempts: "0" }, "x-sluice-attempts (1 to 999)"],
  ["tries that are no number", { attempts: "1e1" }, "x-sluice-attempts (1 to 999)"],
  ["a fallback that is not none", { fallback: "some" }, "x-sluice-fallback (none)"],
  ["a strategy that is none", { strategy: "fastest" }, NAMED],
  ["a strategy without a name", { strategy: "" }, NAMED],
  ["no time", { timeout: "0" }, TIMES],
  ["time in another unit", { timeout: "5s" }, TIMES],
  ["less than no time", { timeout: "-1" }, TIMES],
  ["parts of a millisecond", { timeout: "1.5" }, TIMES],
  ["more time than there is", { timeout: "1000000000" }, TIMES],
];
for (const [what, headers, detail] of WRONG) {
  test(`${what}: refused`, () => {
    const { exchange, refusal } = asked(headers);
    deepStrictEqual([refusal, exchange.detail, exchange.target], [ERRORS.overrideInvalid, detail, null]);
  });
}

test("each needs the permission of the key", () => {
  const refused = (name: Override, value: string): (ErrorRow | null)[] => [
    asked({ [name]: value }, [name]).refusal,
    asked(
      { [name]: value },
      OVERRIDES.filter((other) => other !== name),
    ).refusal,
  ];
  const all = [
    refused("target", "main/a"),
    refused("route", "long"),
    refused("attempts", "1"),
    refused("fallback", "none"),
    refused("strategy", "hash"),
    refused("timeout", "1"),
  ];
  deepStrictEqual(
    all,
    all.map(() => [null, ERRORS.overrideNotAllowed]),
  );
});

test("what the file says of them", () => {
  const read = (overrides: string) => {
    const key = `{ name: k, hash: "sha256:${"1".repeat(64)}", overrides: ${overrides} }`;
    const text = `providers: { demo: { type: demo } }\nmodels: { m: { provider: demo } }\nkeys: [${key}]\n`;
    const { config, problems } = checkText("/nowhere/f.yaml", text, {});
    return config?.keys[0]?.overrides ?? problems.map(({ message, suggestion }) => [message, suggestion]);
  };
  deepStrictEqual(
    [read("true"), read("false"), read("[target]"), read("[targets]")],
    [
      [...OVERRIDES],
      [],
      ["target"],
      [["expected one of: target, route, attempts, fallback, strategy, timeout", "target"]],
    ],
  );
});
