/** Routes with conditions: which one is taken, for what headers, keys and bodies say. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { describe, test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { conditionOf, WHEN, type WhenForm } from "../../src/config/condition.ts";
import { checkForm } from "../../src/config/finding.ts";
import type { ModelConfig } from "../../src/config/model.ts";
import { readBody } from "../../src/pipeline/read-body.ts";
import { route, routeEarly } from "../../src/pipeline/route.ts";
import { type ExchangeForm, exchangeOf, snapshotOf } from "../support/exchange.ts";
import { modelOf } from "../support/request-path.ts";

/** As the file has it: every scalar is text. */
function when(form: object): WhenForm {
  const { form: read, findings } = checkForm(form, WHEN);
  if (read === null) throw new Error(JSON.stringify(findings));
  return read;
}

function modelWith(conditions: readonly object[], own: ModelConfig = modelOf("main", "own")): ModelConfig {
  const routes = conditions.map((form, index) => ({
    name: `r${index}`,
    when: conditionOf(when(form)),
    to: modelOf("main", `r${index}`),
  }));
  return { ...own, routes };
}

interface Asked extends ExchangeForm {
  readonly own?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Name of the route, or code of the refusal. */
function takenBy(conditions: readonly object[], fields: object, asked: Asked = {}): string {
  const snapshot = snapshotOf({
    models: { m: modelWith(conditions) },
    keys: [
      {
        name: "web",
        hash: "h",
        enabled: true,
        expiresAtMs: null,
        models: null,
        team: "search",
        metadata: asked.metadata ?? {},
      },
    ],
  });
  const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: "Hello" }], ...fields });
  const exchange = exchangeOf({ body, ...asked, snapshot });
  exchange.ownLines = asked.own ?? "";
  exchange.key = snapshot.keyRecords[0] ?? null;
  strictEqual(readBody(exchange), null);
  const refusal = route(exchange);
  return refusal === null ? (exchange.route?.name ?? "") : refusal.code;
}

const IMAGE = [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:x" } }] }];
const TOOLS = [{ type: "function" }];

describe("what the body says", () => {
  const CASES: [what: string, form: object, taken: object, notTaken: object][] = [
    ["a stream", { stream: "true" }, { stream: true }, { stream: false }],
    ["no stream", { stream: "false" }, {}, { stream: true }],
    ["tools", { tools: "true" }, { tools: TOOLS }, { tools: [] }],
    ["functions", { tools: "true" }, { functions: [{}] }, {}],
    ["no tools", { tools: "false" }, {}, { tools: TOOLS }],
    ["images", { images: "true" }, { messages: IMAGE }, { tools: [{ type: "image_url" }] }],
    ["images of responses", { images: "true" }, { input: [{ content: [{ type: "input_image" }] }] }, {}],
    ["no images", { images: "false" }, {}, { messages: IMAGE }],
    [
      "a format",
      { response_format: "json_schema" },
      { response_format: { type: "json_schema" } },
      { response_format: { type: "json_object" } },
    ],
    [
      "one of two formats",
      { response_format: ["json_schema", "json_object"] },
      { text: { format: { type: "json_object" } } },
      { response_format: { type: "text" } },
    ],
    ["a text", { body: { effort: "high" } }, { effort: "high" }, { effort: "higher" }],
    ["one of several", { body: { effort: ["high", "low"] } }, { effort: "low" }, { effort: null }],
    ["the beginning of a text", { body: { user: "batch-*" } }, { user: "batch-7" }, { user: "a-batch-7" }],
    [
      "the beginning of a long text",
      { body: { user: "batch-*" } },
      { user: `batch-${"7".repeat(5_000)}` },
      { user: "7".repeat(5_000) },
    ],
    ["any long text", { body: { user: "*" } }, { user: "7".repeat(5_000) }, { user: ["7".repeat(5_000)] }],
    ["any text", { body: { user: "*" } }, { user: "somebody" }, {}],
    ["a number", { body: { n: "2" } }, { n: 2.0 }, { n: 3 }],
    ["truth", { body: { store: "true" } }, { store: true }, { store: false }],
    ["no object", { body: { effort: "*" } }, { effort: "" }, { effort: { high: 1 } }],
    ["a small prompt", { prompt_tokens_max: "100" }, {}, { input: "x".repeat(1_000) }],
    ["a large prompt", { prompt_tokens_min: "100" }, { input: "x".repeat(400) }, { input: "x".repeat(200) }],
    ["all of it", { stream: "true", tools: "true" }, { stream: true, tools: TOOLS }, { stream: true }],
  ];
  for (const [what, form, taken, notTaken] of CASES) {
    test(what, () => deepStrictEqual([takenBy([form], taken), takenBy([form], notTaken)], ["m/r0", "m"]));
  }

  test("escapes are what they stand for", () => {
    const body = '{"model":"m","\\u0065ffort":"h\\u0069gh"}';
    strictEqual(takenBy([{ body: { effort: "high" } }], {}, { body }), "m/r0");
  });

  test("the beginning of a long text may be cut within an escape", () => {
    for (const rest of ["\\\\", "\\u0037", '\\"', "x\\\\", "ü"]) {
      for (let shift = 0; shift < 6; shift += 1) {
        const body = `{"model":"m","user":"b\\u0061tch-${"x".repeat(shift)}${rest.repeat(1_600)}"}`;
        strictEqual(takenBy([{ body: { user: "batch-*" } }], {}, { body }), "m/r0");
        strictEqual(takenBy([{ body: { user: "butch-*" } }], {}, { body }), "m");
      }
    }
  });

  test("of a field that is repeated the last one counts", () => {
    const body = '{"model":"m","effort":"high","effort":"low"}';
    strictEqual(takenBy([{ body: { effort: "high" } }], {}, { body }), "m");
  });

  test("a form has no fields, whatever the body before it had", () => {
    strictEqual(takenBy([{ body: { effort: "high" } }], { effort: "high" }), "m/r0");
    const form = '--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n';
    const asked = { path: "/v1/audio/transcriptions", contentType: "multipart/form-data; boundary=b", body: form };
    strictEqual(takenBy([{ body: { effort: "high" } }], {}, asked), "m");
    strictEqual(takenBy([{ images: "true" }], {}, asked), "m");
  });
});

describe("what the head says", () => {
  const header = (form: unknown, headers: readonly string[]) => takenBy([{ header: form }], {}, { headers });

  test("a value, one of a list, a beginning, and that it is there", () => {
    deepStrictEqual(
      [
        header({ "X-Tier": "gold" }, ["x-tier", "gold"]),
        header({ "x-tier": "gold" }, ["x-tier", "golden"]),
        header({ "x-tier": "gold" }, ["xx-tier", "gold", "y", "x-tier: gold"]),
        header({ "x-tier": ["a", "b"] }, ["x", "1", "x-tier", "b"]),
        header({ "x-tier": "g*" }, ["x-tier", "gold", "x", "1"]),
        header({ "x-tier": "*" }, ["x-tier", ""]),
        header({ "x-tier": "*" }, ["x-tiers", "gold"]),
      ],
      ["m/r0", "m", "m", "m/r0", "m/r0", "m/r0", "m"],
    );
  });

  test("one of several lines is enough, and all headers are needed", () => {
    strictEqual(header({ "x-a": "2" }, ["x-a", "1", "x-a", "2"]), "m/r0");
    strictEqual(header({ "x-a": "1", "x-b": "1" }, ["x-a", "1"]), "m");
  });

  test("letters outside of ASCII, as their bytes arrive", () => {
    strictEqual(header({ "x-a": "é" }, ["x-a", Buffer.from("é").toString("latin1")]), "m/r0");
  });

  test("headers for the gateway alone", () => {
    const form = [{ header: { "x-sluice-tier": "gold" } }];
    deepStrictEqual(
      [
        takenBy(form, {}, { own: "\r\nx-sluice-tier: gold" }),
        takenBy(form, {}, { headers: ["x-sluice-tier", "gold"] }),
      ],
      ["m/r0", "m"],
    );
  });

  test("metadata, name and team of the key", () => {
    const key = (form: object, metadata = {}) => takenBy([{ key: form }], {}, { metadata });
    deepStrictEqual(
      [
        key({ tier: "gold" }, { tier: "gold" }),
        key({ tier: ["silver", "gold"], name: "w*", team: "search" }, { tier: "gold" }),
        key({ tier: "gold" }, { tier: "silver" }),
        key({ tier: "*" }),
        key({ constructor: "*" }),
      ],
      ["m/r0", "m/r0", "m", "m", "m"],
    );
  });
});

test("the first route that holds is taken", () => {
  const forms = [{ stream: "true" }, { tools: "true" }, { stream: "false" }];
  deepStrictEqual(
    [{ stream: true, tools: TOOLS }, { tools: TOOLS }, {}].map((fields) => takenBy(forms, fields)),
    ["m/r0", "m/r1", "m/r2"],
  );
});

test("without targets of its own a model refuses what no route is for", () => {
  const models = { m: modelWith([{ stream: "true" }], { targets: [], strategy: "priority", attempts: 0 }) };
  const exchange = exchangeOf({ body: '{"model":"m"}', snapshot: snapshotOf({ models }) });
  strictEqual(readBody(exchange), null);
  deepStrictEqual([route(exchange), exchange.target], [ERRORS.noRoute, null]);
});

test("only routes that ask what is in a body wait for all of it", () => {
  const waits = (form: object) => {
    const exchange = exchangeOf({ snapshot: snapshotOf({ models: { m: modelWith([form]) } }) });
    exchange.model = "m";
    strictEqual(routeEarly(exchange), null);
    return exchange.target === null;
  };
  const forms = [{ header: { a: "*" } }, { key: { tier: "*" } }, { images: "true" }, { prompt_tokens_min: "1" }];
  deepStrictEqual([...forms, { body: { a: "1" } }].map(waits), [false, false, true, true, true]);
  strictEqual(snapshotOf({ models: { m: modelWith(forms.slice(0, 2)) } }).fields, null);
});
