/** GET /v1/models: what is listed, for whom. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { modelsBody } from "../../src/pipeline/models.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";
import { modelOf } from "../support/request-path.ts";

const kept = modelOf("main", null);
const snapshot = snapshotOf({ models: { allowed: kept, "meta/llama": kept, "a b": kept, "*": kept } });
const narrow = [...snapshot.keys.values()].find(({ name }) => name === "narrow") ?? null;

function answer(path: string, key = exchangeOf().key): unknown {
  const exchange = exchangeOf({ path, snapshot });
  exchange.key = key;
  const body = modelsBody(exchange);
  return typeof body === "string" ? JSON.parse(body) : body;
}

function object(id: string) {
  return { id, object: "model", created: 1_700_000_000, owned_by: "main" };
}

test("the list has every alias, and not the star", () => {
  deepStrictEqual(answer("/v1/models"), {
    object: "list",
    data: [object("allowed"), object("meta/llama"), object("a b")],
  });
});

test("a key with a list of models sees those", () => {
  deepStrictEqual(answer("/v1/models", narrow), { object: "list", data: [object("allowed")] });
  deepStrictEqual(answer("/v1/models/allowed", narrow), object("allowed"));
  strictEqual(answer("/v1/models/meta/llama", narrow), ERRORS.modelNotFound);
});

for (const [path, id] of Object.entries({
  allowed: "allowed",
  "meta/llama": "meta/llama",
  "meta%2Fllama": "meta/llama",
  "a%20b": "a b",
})) {
  test(`one model: ${path}`, () => deepStrictEqual(answer(`/v1/models/${path}`), object(id)));
}

for (const path of ["nope", "", "*", "%", "%ff", "__proto__"]) {
  test(`no model: ${JSON.stringify(path)}`, () => strictEqual(answer(`/v1/models/${path}`), ERRORS.modelNotFound));
}
