/** What targets can take: those that cannot are left out, in every try, and a request that none can take is refused. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import { OVERRIDES } from "../../src/base/overrides.ts";
import type { CapabilityConfig } from "../../src/config/capability.ts";
import type { Config } from "../../src/config/schema.ts";
import { classify } from "../../src/pipeline/endpoint.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { readBody } from "../../src/pipeline/read-body.ts";
import { errorBody } from "../../src/pipeline/rescue.ts";
import { chooseTarget, route } from "../../src/pipeline/route.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";

const ANYTHING = { contextTokens: null, supports: null };

function routed(capabilities: readonly (CapabilityConfig | null)[], fields: object, path = "/v1/chat/completions") {
  const targets = capabilities.map((capability, index) => ({
    provider: "main",
    model: `t${index}`,
    weight: 1,
    priority: 0,
    capability,
  }));
  const models = { m: { targets, strategy: "priority" as const, attempts: targets.length } };
  const exchange = exchangeOf({
    path,
    body: JSON.stringify({ model: "m", ...fields }),
    snapshot: snapshotOf({ models }),
  });
  strictEqual(classify(exchange) ?? readBody(exchange), null);
  return { exchange, refusal: route(exchange) };
}

function chosen({ exchange, refusal }: { exchange: Exchange; refusal: unknown }): string | undefined | null {
  return refusal === null ? exchange.target?.upstreamModel : null;
}

const WINDOW = (contextTokens: number) => ({ ...ANYTHING, contextTokens });
const NOTHING = { ...ANYTHING, supports: [] };
const PROMPT = { messages: [{ role: "user", content: "x".repeat(396) }] };
const TOOLS = { tools: [{}] };

test("prompt and answer have to fit", () => {
  // "user" is text as well: 100 tokens.
  deepStrictEqual(
    [
      chosen(routed([WINDOW(99), WINDOW(100)], PROMPT)),
      chosen(routed([WINDOW(100), null], { ...PROMPT, max_tokens: 1 })),
      chosen(routed([WINDOW(110), WINDOW(1_000)], { ...PROMPT, max_tokens: 10, n: 5 })),
    ],
    ["t1", "t1", "t0"],
  );
});

test("embeddings count as prompts, and what is no model's business fits anywhere", () => {
  strictEqual(chosen(routed([WINDOW(9), WINDOW(10)], { input: "x".repeat(40) }, "/v1/embeddings")), "t1");
  strictEqual(chosen(routed([WINDOW(1)], { prompt: "x".repeat(400) }, "/v1/images/generations")), "t0");
});

test("of several prompts none is measured; the parts of one are", () => {
  const list = Array(20).fill("x".repeat(40));
  const content = { input: [{ role: "user", content: list.join("") }] };
  deepStrictEqual(
    [
      chosen(routed([WINDOW(20), WINDOW(1_000)], { input: list }, "/v1/embeddings")),
      chosen(routed([WINDOW(20), WINDOW(1_000)], { model: "m", prompt: list, max_tokens: 20 }, "/v1/completions")),
      chosen(routed([WINDOW(20), WINDOW(1_000)], { model: "m", prompt: list, max_tokens: 21 }, "/v1/completions")),
      chosen(routed([WINDOW(20), WINDOW(1_000)], { prompt: list.join("") }, "/v1/completions")),
      chosen(routed([WINDOW(20), WINDOW(1_000)], content, "/v1/responses")),
    ],
    ["t0", "t0", "t1", "t1", "t1"],
  );
});

test("what a target does not support goes elsewhere", () => {
  deepStrictEqual(
    [
      chosen(routed([NOTHING, { ...ANYTHING, supports: ["tools"] }], TOOLS)),
      chosen(routed([NOTHING, null], { response_format: { type: "json_schema" } })),
      chosen(routed([NOTHING], {})),
    ],
    ["t1", "t1", "t0"],
  );
});

test("no later try goes to one that cannot take it", () => {
  const { exchange } = routed([NOTHING, null, NOTHING, null], TOOLS);
  const { route: taken } = exchange;
  if (taken === null) throw new Error("it has a route");
  const next = (tried: number) => chooseTarget(exchange, taken, tried, 0, () => 0);
  deepStrictEqual([exchange.target?.upstreamModel, next(0b10), exchange.target?.upstreamModel], ["t1", true, "t3"]);
  strictEqual(next(0b1010), false);
  deepStrictEqual([next(0), exchange.target?.upstreamModel], [true, "t1"]);
});

function refusalOf(...asked: Parameters<typeof routed>) {
  const { exchange, refusal } = routed(...asked);
  return {
    row: refusal,
    message: refusal === null ? "" : JSON.parse(errorBody(refusal, exchange.detail)).error.message,
  };
}

test("a request that is too long for all is told the widest of those that could", () => {
  const { row, message } = refusalOf([WINDOW(50), WINDOW(90), { contextTokens: 95, supports: [] }], {
    ...PROMPT,
    ...TOOLS,
    max_tokens: 7,
  });
  strictEqual(row, ERRORS.contextTooLong);
  match(message, /maximum context length is 90 tokens; this request has about 107,/);
});

test("a request that nobody supports is told what is missing", () => {
  const { row, message } = refusalOf([NOTHING, { ...ANYTHING, supports: ["json_object"] }], {
    ...TOOLS,
    response_format: { type: "json_object" },
  });
  strictEqual(row, ERRORS.unsupported);
  match(message, /asks for: tools\.$/);
  const both = refusalOf(
    [
      { ...ANYTHING, supports: ["tools"] },
      { ...ANYTHING, supports: ["json_object"] },
    ],
    {
      ...TOOLS,
      response_format: { type: "json_object" },
    },
  );
  match(both.message, /asks for: tools, json_object\.$/);
});

test("a target that the request asks for, and that cannot take it, is no outage: others do not count", () => {
  const key = {
    name: "k",
    hash: "h",
    enabled: true,
    expiresAtMs: null,
    models: null,
    team: null,
    overrides: OVERRIDES,
  };
  const [row, message] = routedTo("main/t0", key);
  strictEqual(row, ERRORS.contextTooLong);
  match(message, /maximum context length is 50 tokens; this request has about 100,/);
  deepStrictEqual(routedTo("main/t1", key), [null, ""]);
});

function routedTo(target: string, key: Config["keys"][number]): readonly [ErrorRow | null, string] {
  const list = [50, 200, 60].map((tokens, index) => {
    return { provider: "main", model: `t${index}`, weight: 1, priority: 0, capability: WINDOW(tokens) };
  });
  const models = { m: { targets: list, strategy: "priority" as const, attempts: 3 } };
  const snapshot = snapshotOf({ models, keys: [key] });
  const exchange = exchangeOf({
    path: "/v1/chat/completions",
    body: JSON.stringify({ model: "m", ...PROMPT }),
    snapshot,
  });
  exchange.key = snapshot.keyRecords[0] ?? null;
  exchange.ownLines = `\r\nx-sluice-target: ${target}`;
  strictEqual(classify(exchange) ?? readBody(exchange), null);
  const refusal = route(exchange);
  return [refusal, refusal === null ? "" : errorBody(refusal, exchange.detail)];
}
