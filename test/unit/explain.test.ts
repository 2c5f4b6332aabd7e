/**
 * What `sluice explain` is told: the decision that a request then meets, over any limits and whatever is used of them, and the targets in
 * the order in which they are tried; with nothing changed by asking.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { addressBytesOf } from "../../src/base/address.ts";
import type { LimitRule } from "../../src/base/limit-terms.ts";
import { EXCHANGES_IN_FLIGHT_MAX } from "../../src/base/limits.ts";
import { explanationText } from "../../src/cli/explain-report.ts";
import type { ArmConfig } from "../../src/config/arm.ts";
import { compileSnapshot } from "../../src/config/compile.ts";
import { conditionOf, WHEN } from "../../src/config/condition.ts";
import type { ExplainQuestion, Explanation } from "../../src/config/explanation.ts";
import { checkForm } from "../../src/config/finding.ts";
import type { ModelConfig } from "../../src/config/model.ts";
import type { Config } from "../../src/config/schema.ts";
import { type Snapshot, STRATEGIES, type Strategy } from "../../src/config/snapshot.ts";
import { native } from "../../src/native/native.ts";
import { admitSomewhere } from "../../src/pipeline/admit.ts";
import { fail } from "../../src/pipeline/breaker.ts";
import { CREDENTIAL_LIMITED, restCredential } from "../../src/pipeline/credential.ts";
import { explain } from "../../src/pipeline/explain.ts";
import { explainOffline } from "../../src/pipeline/explain-offline.ts";
import { Limiter } from "../../src/pipeline/limit.ts";
import { readBody } from "../../src/pipeline/read-body.ts";
import { route } from "../../src/pipeline/route.ts";
import { TargetStates } from "../../src/pipeline/target-states.ts";
import { openBreakers, prepareBreakers } from "../../src/shm/breakers.ts";
import { prepareInFlight } from "../../src/shm/in-flight.ts";
import { prepareLimits } from "../../src/shm/limits.ts";
import { prepareRoutes } from "../../src/shm/routes.ts";
import { openTargets, prepareTargets } from "../../src/shm/targets.ts";
import { Random } from "../fuzz/random.ts";
import { exchangeOf, SeenDown } from "../support/exchange.ts";
import { DAY_MS, directoryOf, HELD_TIME_MS, MINUTE_MS, ruleOf, SECOND_MS } from "../support/limits.ts";
import { configOf, providerConfig } from "../support/request-path.ts";

const CHAT = "/v1/chat/completions";

function question(fields: object, changes: Partial<ExplainQuestion> = {}): ExplainQuestion {
  return { key: "wide", path: CHAT, headers: [], address: "", body: JSON.stringify(fields), ...changes };
}

function modelAt(strategy: Strategy, weights: readonly number[], priorities: readonly number[] = []): ModelConfig {
  const targets = weights.map((weight, i) => ({ provider: `p${i}`, model: "m", weight, priority: priorities[i] ?? 0 }));
  return { targets, strategy, attempts: targets.length };
}

function configWith(changes: Partial<Config>): Config {
  const names = ["main", "p0", "p1", "p2", "p3"];
  return configOf(Object.fromEntries(names.map((name) => [name, providerConfig(9)])), "/nowhere", changes);
}

function targetsOf({ targets }: Explanation): (readonly [string, number, number])[] {
  return targets.map(({ provider, share, order }) => [provider, share, order]);
}

test("of several credentials it is told whose turn it is, and which are left alone, without a turn being taken", () => {
  const credentials = ["a", "b", "c"].map((value) => ({ header: "authorization", value, source: value }));
  const providers = { main: providerConfig(9), p0: providerConfig(9, { credentials }), p1: providerConfig(9) };
  const models = { chat: modelAt("priority", [1, 1]), alone: { ...modelAt("priority", [1]), attempts: 1 } };
  const snapshot = compileSnapshot(configOf(providers, "/nowhere", { models }), 1);
  const told = (model: string) => explain(snapshot, null, question({ model })).targets.map((one) => one.credentials);
  deepStrictEqual(told("chat"), [{ count: 3, next: 1, resting: [] }, null]);
  const [first, , third] = snapshot.routes.get("alone")?.target.provider.rotation?.credentials ?? [];
  ok(first !== undefined && third !== undefined);
  for (const one of [first, third]) restCredential(one, CREDENTIAL_LIMITED, 5_000, Date.now(), snapshot.breaker);
  deepStrictEqual(told("alone"), [{ count: 3, next: 2, resting: [1, 3] }]);
  deepStrictEqual(told("chat")[0], told("alone")[0]);
  const text = explanationText(explain(snapshot, null, question({ model: "alone" })));
  match(text, /in flight, credential 2 of 3 \(left alone: 1 3\), no price/);
});

/** Opens the breaker of a target for ten seconds. */
function open(snapshot: Snapshot, alias: string, place: number): void {
  const slot = snapshot.routes.get(alias)?.choices[place]?.state.breaker;
  ok(slot !== undefined);
  fail(slot, Date.now(), snapshot.breaker, false, 10_000, 0.5);
}

test("targets stand in the order of their strategy, with the share that each of them is first for", () => {
  const models = {
    priority: modelAt("priority", [1, 1]),
    weighted: modelAt("weighted", [1, 3, 1], [0, 0, 1]),
    turns: modelAt("round_robin", [1, 1, 1, 1]),
    free: modelAt("least_in_flight", [1, 1]),
  };
  const snapshot = compileSnapshot(configWith({ models }), 1);
  const at = (model: string) => targetsOf(explain(snapshot, null, question({ model })));
  deepStrictEqual(at("priority"), [
    ["p0", 100, 1],
    ["p1", 0, 2],
  ]);
  deepStrictEqual(at("weighted"), [
    ["p1", 75, 1],
    ["p0", 25, 2],
    ["p2", 0, 3],
  ]);
  deepStrictEqual(
    at("turns").map(([, share]) => share),
    [25, 25, 25, 25],
  );
  deepStrictEqual(
    at("free").map(([, share]) => share),
    [50, 50],
  );
});

test("a target is left out while its breaker is open, and the answer is 503 where none is left", () => {
  const snapshot = compileSnapshot(configWith({ models: { chat: modelAt("priority", [1, 1]) } }), 1);
  open(snapshot, "chat", 0);
  const half = explain(snapshot, null, question({ model: "chat" }));
  deepStrictEqual(targetsOf(half), [
    ["p1", 100, 1],
    ["p0", 0, 0],
  ]);
  match(half.targets[1]?.obstacle ?? "", /^its breaker is open for (10|9\.\d)s$/);
  strictEqual(half.refusal, null);
  open(snapshot, "chat", 1);
  const none = explain(snapshot, null, question({ model: "chat" }));
  deepStrictEqual([none.refusal?.status, none.refusal?.code], [503, "no_target_available"]);
});

test("no target is tried beyond the attempts of its model", () => {
  const models = { chat: { ...modelAt("priority", [1, 1, 1]), attempts: 2 } };
  const told = explain(compileSnapshot(configWith({ models }), 1), null, question({ model: "chat" }));
  deepStrictEqual(targetsOf(told), [
    ["p0", 100, 1],
    ["p1", 0, 2],
    ["p2", 0, 0],
  ]);
});

test("fallbacks stand behind the others with the failures that lead to them, and in front when these are left alone", () => {
  const at = (provider: string) => ({ provider, model: "m", weight: 1, priority: 0 });
  const fallbacks = { rate_limit: [at("p1")], default: [at("p2"), at("p1")] };
  const snapshot = compileSnapshot(configWith({ models: { chat: { ...modelAt("priority", [1]), fallbacks } } }), 1);
  const told = explain(snapshot, null, question({ model: "chat" })).targets;
  deepStrictEqual(
    told.map(({ provider, order, after }) => [
      provider,
      order,
      after.includes("rate_limit"),
      after.includes("timeout"),
    ]),
    [
      ["p0", 1, false, false],
      ["p1", 0, true, true],
      ["p2", 0, false, true],
    ],
  );
  open(snapshot, "chat", 0);
  const [first] = explain(snapshot, null, question({ model: "chat" })).targets;
  deepStrictEqual([first?.provider, first?.share, first?.order], ["p2", 100, 1]);
});

test("the arm of a model that is shared out is told, with its own targets and the shares of all", () => {
  const target = (model: string) => ({ provider: "main", model, weight: 1, priority: 0 });
  const arm = (name: string, share: number, first: number): ArmConfig => {
    return { name, share, first, count: 1, strategy: "priority", attempts: 1, retries: true };
  };
  const arms = { sticky: "key" as const, header: "", list: [arm("old", 0, 0), arm("new", 8, 1)], rollback: null };
  const model: ModelConfig = { targets: [target("m-old"), target("m-new")], strategy: "priority", attempts: 1, arms };
  const snapshot = compileSnapshot(configWith({ models: { chat: model } }), 1);
  const told = explain(snapshot, null, question({ model: "chat" }));
  deepStrictEqual(told.route?.arms, [
    { name: "old", percent: 0, closed: false },
    { name: "new", percent: 100, closed: false },
  ]);
  deepStrictEqual([told.route?.arm, told.targets.map((one) => one.model)], ["new", ["m-new"]]);
  const words = snapshot.routes.get("chat")?.arms?.routes.map((route) => [...(route.arm?.words ?? [])]);
  ok(
    words?.flat().every((word) => word === 0),
    "nothing is counted",
  );
});

test("what a request may choose for itself is told as it chose it", () => {
  const overrides = ["strategy", "attempts", "timeout"] as const;
  const key = { name: "wide", hash: "h", enabled: true, expiresAtMs: null, models: null, team: null, overrides };
  const snapshot = compileSnapshot(configWith({ models: { chat: modelAt("priority", [1, 1, 2]) }, keys: [key] }), 1);
  const asked = (...headers: readonly string[]) => explain(snapshot, null, question({ model: "chat" }, { headers }));
  const told = asked("x-sluice-strategy", "weighted", "x-sluice-attempts", "2", "x-sluice-timeout-ms", "700");
  deepStrictEqual([told.route?.strategy, told.route?.attempts, told.timeoutMs], ["weighted", 2, 700]);
  deepStrictEqual(
    told.targets.map(({ provider, share }) => [provider, share]),
    [
      ["p2", 50],
      ["p0", 25],
      ["p1", 25],
    ],
  );
  match(explanationText(told), /for all of it$/m);
  const plain = asked();
  deepStrictEqual([plain.route?.strategy, plain.route?.attempts, plain.timeoutMs], ["priority", 3, 60_000]);
  strictEqual(asked("x-sluice-timeout-ms", "soon").refusal?.code, "invalid_override");
  strictEqual(asked("x-sluice-target", "p0/m").refusal?.code, "override_not_allowed");
  match(asked("x-sluice-strategy", "best").refusal?.message ?? "", /x-sluice-strategy \(priority, weighted, .*hash\)/);
});

test("who wants one target only is told so, and begins where others do", () => {
  const overrides = ["target", "fallback"] as const;
  const key = { name: "wide", hash: "h", enabled: true, expiresAtMs: null, models: null, team: null, overrides };
  const snapshot = compileSnapshot(configWith({ models: { chat: modelAt("weighted", [3, 1]) }, keys: [key] }), 1);
  const asked = (...headers: readonly string[]) =>
    explain(snapshot, null, question({ model: "chat" }, { headers })).targets.map((one) => [
      ...[one.provider, one.share],
      ...[one.order, one.obstacle],
    ]);
  deepStrictEqual(asked("x-sluice-fallback", "none"), [
    ["p0", 75, 1, null],
    ["p1", 25, 0, null],
  ]);
  deepStrictEqual(asked("x-sluice-target", "p1/m"), [
    ["p1", 100, 1, null],
    ["p0", 0, 0, "the request asks for another one"],
  ]);
  deepStrictEqual(asked("x-sluice-target", "p1/m", "x-sluice-fallback", "none"), asked("x-sluice-target", "p1/m"));
});

test("letters of headers outside of ASCII are the bytes that a client sends", () => {
  const { form } = checkForm({ header: { "x-place": "Zürich" } }, WHEN);
  ok(form !== null);
  const chat = {
    ...modelAt("priority", [1]),
    routes: [{ name: "r", when: conditionOf(form), to: modelAt("priority", [1]) }],
  };
  const snapshot = compileSnapshot(configWith({ models: { chat } }), 1);
  const told = explain(snapshot, null, question({ model: "chat" }, { headers: ["x-place", "Zürich"] }));
  strictEqual(told.route?.name, "chat/r");
});

test("arms of a route are told with it, and those of its model are not", () => {
  const arms = (names: readonly string[]): ModelConfig => ({
    targets: names.map((model) => ({ provider: "main", model, weight: 1, priority: 0 })),
    strategy: "priority",
    attempts: 1,
    arms: {
      sticky: "key",
      header: "",
      list: names.map((name, first) => {
        return { name, share: first, first, count: 1, strategy: "priority", attempts: 1, retries: true };
      }),
      rollback: null,
    },
  });
  const { form } = checkForm({ stream: "true" }, WHEN);
  if (form === null) throw new Error("a condition");
  const routes = [{ name: "live", when: conditionOf(form), to: arms(["r0", "r1"]) }];
  const snapshot = compileSnapshot(configWith({ models: { chat: { ...arms(["m0", "m1"]), routes } } }), 1);
  const told = (stream: boolean) => {
    const { route: taken, targets } = explain(snapshot, null, question({ model: "chat", stream }));
    return [taken?.name, taken?.arm, taken?.arms.map(({ name }) => name), targets.map(({ model }) => model)];
  };
  deepStrictEqual(told(true), ["chat/live", "r1", ["r0", "r1"], ["r1"]]);
  deepStrictEqual(told(false), ["chat", "m1", ["m0", "m1"], ["m1"]]);
});

test("copies and second attempts are told with the route", () => {
  const copies = { provider: "p1", model: "copy", percent: 10, inFlight: 4 };
  const hedge = { afterMs: 300, percentMax: 5, inFlightMax: 20 };
  const snapshot = compileSnapshot(
    configWith({ models: { chat: { ...modelAt("priority", [1, 1]), shadow: copies, hedge } } }),
    1,
  );
  const { route: told } = explain(snapshot, null, question({ model: "chat" }));
  deepStrictEqual([told?.shadow, told?.hedge], [{ provider: "p1", model: "copy", percent: 10 }, { afterMs: 300 }]);
});

/** Asked, in front of the real maps. */
function gateway(context: TestContext, changes: Partial<Config>) {
  const dataDir = directoryOf(context);
  const limits = prepareLimits(dataDir);
  prepareBreakers(dataDir, false);
  prepareTargets(dataDir, false);
  const maps = {
    breakers: openBreakers(dataDir),
    targets: openTargets(dataDir),
    inFlight: prepareInFlight(dataDir, false),
    routes: prepareRoutes(dataDir, false),
  };
  const states = new TargetStates(maps, 0);
  const snapshot = compileSnapshot(configWith(changes), 1, states.stateOf, states);
  const limiter = new Limiter(limits, () => {});
  native.limitsHoldTime(HELD_TIME_MS);
  limiter.configure(snapshot);
  limits.tick();
  return { dataDir, snapshot, limiter };
}

/** Behind the lock, which is in the first line of the header. */
function mapsIn(dataDir: string): Buffer[] {
  return ["limits.map", "breakers.map", "targets.map", "in-flight.map", "routes.map"].map((name) =>
    readFileSync(join(dataDir, name)).subarray(128),
  );
}

for (const strategy of STRATEGIES) {
  test(`asking changes nothing of limits, breakers, what is learned and whose turn it is: ${strategy}`, (context) => {
    const models = { chat: modelAt(strategy, [1, 1, 1]) };
    const limits = [
      ruleOf(),
      ruleOf({ name: "other", kind: "held" }),
      ruleOf({ name: "of targets", scope: ["target"] }),
    ];
    const { dataDir, snapshot, limiter } = gateway(context, { models, limits });
    const [first, second] = snapshot.routes.get("chat")?.choices ?? [];
    ok(first !== undefined && second !== undefined);
    // One whose time has come, and something that was learned.
    fail(first.state.breaker, Date.now() - 60_000, snapshot.breaker, false, 10_000, 0.5);
    second.state.learned.fill(1_000, 3);
    const before = mapsIn(dataDir);
    const asked = question({ model: "chat" });
    const told = explain(snapshot, limiter, asked);
    deepStrictEqual(explain(snapshot, limiter, asked).targets, told.targets);
    deepStrictEqual([told.targets.length, told.limits.length], [3, 3]);
    deepStrictEqual(mapsIn(dataDir), before);
    strictEqual(snapshot.routes.get("chat")?.turn[0], 0);
  });
}

test("a request that may wait for a limit is told to, for as long as it says itself, and not in vain", (context) => {
  const waitRules = { maxWaitMs: 2_000, maxRequests: 10, maxBytes: 1_000_000 };
  const rule = ruleOf({ limit: 1, burst: 1, periodMs: SECOND_MS });
  const { snapshot, limiter } = gateway(context, {
    waitRules,
    limits: [rule],
    models: { chat: modelAt("priority", [1]) },
  });
  const fields = { model: "chat", max_tokens: 1 };
  const waitOf = (...headers: string[]) => explain(snapshot, limiter, question(fields, { headers })).refusal?.waitMs;
  strictEqual(waitOf(), undefined);
  const exchange = exchangeOf({ snapshot, body: JSON.stringify(fields) });
  exchange.endpoint = 1;
  exchange.key = snapshot.keyRecords[0] ?? null;
  strictEqual(readBody(exchange) ?? route(exchange) ?? limiter.admit(exchange), null);
  deepStrictEqual(
    [waitOf(), waitOf("x-sluice-queue-ms", "1500"), waitOf("x-sluice-queue-ms", "500")],
    [2_000, 1_500, 0],
  );
});

test("limits by address are told for the address that is asked with, IPv4 or the network of IPv6, and for none without it", (context) => {
  const limits = [ruleOf({ scope: ["address"], limit: 5, periodMs: DAY_MS })];
  const { snapshot, limiter } = gateway(context, { limits });
  const addresses = { seen: [192, 0, 2, 7], network: [0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9] };
  for (const bytes of Object.values(addresses)) {
    const down = new SeenDown();
    down.address = () => Uint8Array.from(bytes);
    const exchange = exchangeOf({ snapshot, down, body: '{"model":"other"}' });
    exchange.endpoint = 1;
    strictEqual(readBody(exchange) ?? route(exchange) ?? limiter.admit(exchange), null);
  }
  const left = (address: string) =>
    explain(snapshot, limiter, question({ model: "other" }, { address })).limits.map((limit) => limit.left);
  deepStrictEqual(
    ["192.0.2.7", "::ffff:192.0.2.7", "192.0.2.8", "2001:db8:0:1::5", "2001:db8:0:2::9", "::ffff:192.0.2.9"].map(left),
    [[4], [4], [5], [4], [5], [5]],
  );
  deepStrictEqual(left(""), []);
});

test("an IPv4 client counts as the same one on a listener for both versions", (context) => {
  const limits = [ruleOf({ scope: ["address"], limit: 2, periodMs: DAY_MS })];
  const { snapshot, limiter } = gateway(context, { limits });
  const codes = ["192.0.2.7", "::ffff:192.0.2.7", "192.0.2.7", "::ffff:192.0.2.8"].map((address) => {
    const down = new SeenDown();
    down.address = () => addressBytesOf(address);
    const exchange = exchangeOf({ snapshot, down, body: '{"model":"other"}' });
    exchange.endpoint = 1;
    return (readBody(exchange) ?? route(exchange) ?? limiter.admit(exchange))?.code ?? null;
  });
  deepStrictEqual(codes, [null, null, "rate_limit_exceeded", null]);
});

test("a body that does not fit beside those that are in flight is overload", () => {
  const snapshot = compileSnapshot(configWith({}), 1);
  const at = (bodyBytesInFlight: number, inFlight = 0) =>
    explain(snapshot, null, question({ model: "other" }), { bodyBytesInFlight, inFlight, waits: null }).refusal?.code;
  const { bodyBytesInFlight } = snapshot.bounds;
  const bytes = question({ model: "other" }).body.length;
  deepStrictEqual(
    [at(bodyBytesInFlight - bytes), at(bodyBytesInFlight - bytes + 1), at(0, EXCHANGES_IN_FLIGHT_MAX)],
    [undefined, "overloaded", "overloaded"],
  );
});

/** Any rules over a few quantities, small enough to be reached. */
function rulesOf(random: Random): LimitRule[] {
  const one = (index: number): LimitRule => {
    const quantity = random.pick(["requests", "tokens", "output_tokens", "concurrency", "cost"] as const);
    const kind =
      quantity === "concurrency" ? "held" : quantity === "cost" ? "budget" : random.pick(["rate", "window"] as const);
    const limit =
      quantity === "cost" ? 1_000 * (1 + random.below(200)) : 1 + random.below(quantity.endsWith("tokens") ? 400 : 8);
    const calendar = kind === "budget" ? { per: "day" as const, timeZone: "UTC" } : null;
    const periodMs = calendar === null && kind !== "held" ? random.pick([SECOND_MS, MINUTE_MS, DAY_MS]) : 0;
    const scope = random.pick([["key"], ["model"], [], ["user"], ["target"]] as const);
    const observes = random.below(4) === 0;
    return ruleOf({ name: `rule ${index}`, quantity, kind, scope, limit, burst: limit, periodMs, observes, calendar });
  };
  return Array.from({ length: 1 + random.below(6) }, (_, index) => one(index));
}

test("what is told is what the next request meets, over any limits and any use of them", (context) => {
  const prices = { m: { inputPico: 1_000, cachedInputPico: 1_000, outputPico: 2_000_000 } };
  const models = { chat: modelAt("priority", [1, 1]), alone: modelAt("priority", [1]) };
  const met = { admitted: 0, refused: 0 };
  for (let seed = 1; seed <= 30; seed += 1) {
    const random = new Random(seed);
    const { snapshot, limiter } = gateway(context, { models, prices, limits: rulesOf(random) });
    for (let step = 0; step < 40; step += 1) {
      const fields = {
        model: random.pick(["chat", "alone"]),
        ...(random.chance(0.5) ? { max_tokens: 1 + random.below(60) } : {}),
        ...(random.chance(0.5) ? { user: random.pick(["ann", "bob"]) } : {}),
      };
      const told = explain(snapshot, limiter, question(fields));
      const exchange = exchangeOf({ snapshot, body: JSON.stringify(fields) });
      exchange.endpoint = 1;
      exchange.key = snapshot.keyRecords[0] ?? null;
      const verdict = readBody(exchange) ?? route(exchange) ?? admitSomewhere(exchange, limiter);
      deepStrictEqual(told.refusal?.code ?? null, verdict?.code ?? null, `seed ${seed}, step ${step}`);
      const refuses = told.limits.some(({ admits, observes }) => !admits && !observes);
      strictEqual(refuses, verdict !== null, `seed ${seed}, step ${step}`);
      if (verdict === null) strictEqual(told.targets[0]?.provider, exchange.target?.provider.name, `seed ${seed}`);
      met[verdict === null ? "admitted" : "refused"] += 1;
    }
  }
  ok(met.admitted > 100 && met.refused > 100, `${met.admitted} admitted, ${met.refused} refused`);
});

test("what is left of a limit, and of a budget, is what was not taken yet", (context) => {
  const prices = { "upstream-allowed": { inputPico: 0, cachedInputPico: 0, outputPico: 1_000_000 } };
  const limits = [
    ruleOf({ limit: 10, burst: 10, periodMs: DAY_MS }),
    ruleOf({
      name: "budget",
      quantity: "cost",
      kind: "budget",
      limit: 100_000,
      periodMs: 0,
      calendar: { per: "month", timeZone: "UTC" },
    }),
  ];
  const { snapshot, limiter } = gateway(context, { prices, limits });
  const fields = { model: "allowed", max_tokens: 30 };
  const exchange = exchangeOf({ snapshot, body: JSON.stringify(fields) });
  exchange.endpoint = 1;
  exchange.key = snapshot.keyRecords[0] ?? null;
  strictEqual(readBody(exchange) ?? route(exchange) ?? limiter.admit(exchange), null);
  const told = explain(snapshot, limiter, question(fields));
  deepStrictEqual(
    told.limits.map(({ name, takes, left, limit, per, isBudget }) => [name, takes, left, limit, per, isBudget]),
    [
      ["rule", 1, 9, 10, "day", false],
      ["budget", 30_000, 70_000, 100_000, "month, UTC", true],
    ],
  );
  deepStrictEqual([told.outputTokensMax, told.refusal], [30, null]);
});

test("a key is told with its state and its models, and what it may not do is refused as a request would be", () => {
  const [wide] = configWith({}).keys;
  ok(wide !== undefined);
  const off = { ...wide, name: "off", hash: "1".repeat(64), enabled: false };
  const old = { ...wide, name: "old", hash: "2".repeat(64), expiresAtMs: 1_000 };
  const snapshot = compileSnapshot(configWith({ keys: [...configWith({}).keys, off, old] }), 1);
  const at = (key: string, model = "other") => explain(snapshot, null, question({ model }, { key }));
  deepStrictEqual([at("off").key?.state, at("off").refusal?.code], ["disabled", "key_disabled"]);
  deepStrictEqual([at("old").key?.state, at("old").refusal?.code], ["expired", "key_expired"]);
  deepStrictEqual([at("narrow").key?.models, at("narrow").refusal?.code], [["allowed"], "model_not_allowed"]);
  deepStrictEqual([at("nobody").key, at("nobody").refusal?.status], [null, 401]);
  deepStrictEqual([at("wide", "nope").route, at("wide", "nope").refusal?.code], [null, "model_not_found"]);
  strictEqual(explain(snapshot, null, question({}, { path: "/elsewhere" })).refusal?.status, 404);
  strictEqual(explain(snapshot, null, question({}, { body: "{" })).refusal?.code, "invalid_json");
});

test("the file alone is enough: nothing is used then, and demo providers need no place", () => {
  const demo = { ...providerConfig(9), type: "demo" as const, baseUrl: null };
  const models = {
    chat: {
      targets: [{ provider: "demo", model: null, weight: 1, priority: 0 }],
      strategy: "priority" as const,
      attempts: 1,
    },
  };
  const config = { ...configWith({ models, limits: [ruleOf({ limit: 5 })] }), passthrough: "demo" };
  const told = explainOffline({ ...config, providers: { demo } }, question({ model: "chat" }));
  deepStrictEqual([told.limits[0]?.left, told.targets[0]?.provider, told.refusal], [5, "demo", null]);
});
