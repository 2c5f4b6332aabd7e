/** Requests that choose for themselves: what a key permits, what a header can name, and what later tries make of it. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import { OVERRIDES, type Override } from "../../src/base/overrides.ts";
import type { ArmConfig, ArmsConfig } from "../../src/config/arm.ts";
import { conditionOf, WHEN } from "../../src/config/condition.ts";
import { checkForm } from "../../src/config/finding.ts";
import { checkText } from "../../src/config/load.ts";
import type { ModelConfig } from "../../src/config/model.ts";
import type { Config } from "../../src/config/schema.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { chooseTarget, route } from "../../src/pipeline/route.ts";
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

const MODELS: Config["models"] = { m: MODEL, one: targets("o") };

function asked(
  headers: Readonly<Record<string, string>>,
  overrides: readonly Override[] = OVERRIDES,
  models: Config["models"] = MODELS,
) {
  const key = { name: "k", hash: "h", enabled: true, expiresAtMs: null, models: null, team: null, overrides };
  const snapshot = snapshotOf({ models, keys: [key] });
  const exchange = exchangeOf({ snapshot });
  exchange.key = snapshot.keyRecords[0] ?? null;
  exchange.model = headers["model"] ?? "m";
  exchange.ownLines = Object.entries(headers)
    .map(([name, value]) => `\r\nx-sluice-${name}: ${value}`)
    .join("");
  return { exchange, refusal: route(exchange) };
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

const WRONG: [what: string, headers: Readonly<Record<string, string>>, detail: string][] = [
  ["a target of another model", { target: "main/o" }, "x-sluice-target"],
  ["a target of another route", { route: "m", target: "main/l1" }, "x-sluice-route"],
  ["a route that is none", { route: "short" }, "x-sluice-route"],
  ["no tries", { attempts: "0" }, "x-sluice-attempts"],
  ["tries that are no number", { attempts: "1e1" }, "x-sluice-attempts"],
  ["a fallback that is not none", { fallback: "some" }, "x-sluice-fallback"],
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
    [[...OVERRIDES], [], ["target"], [["expected one of: target, route, attempts, fallback", "target"]]],
  );
});
