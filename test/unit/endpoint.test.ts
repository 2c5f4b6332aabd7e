/** Which API call a path is, and which paths never reach a provider. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import {
  classify,
  ENDPOINT_CHAT,
  ENDPOINT_COMPLETIONS,
  ENDPOINT_EMBEDDINGS,
  ENDPOINT_MODELS,
  ENDPOINT_MODERATIONS,
  ENDPOINT_OTHER,
  ENDPOINT_RESPONSES,
  hasUsageOption,
  modelDecides,
  takesModel,
} from "../../src/pipeline/endpoint.ts";
import { exchangeOf } from "../support/exchange.ts";

const KNOWN: [string, string, number][] = [
  ["POST", "/v1/chat/completions", ENDPOINT_CHAT],
  ["POST", "/v1/completions", ENDPOINT_COMPLETIONS],
  ["POST", "/v1/embeddings", ENDPOINT_EMBEDDINGS],
  ["POST", "/v1/responses", ENDPOINT_RESPONSES],
  ["POST", "/v1/moderations", ENDPOINT_MODERATIONS],
  ["GET", "/v1/models", ENDPOINT_MODELS],
  ["GET", "/v1/models/gpt-4o", ENDPOINT_MODELS],
  ["GET", "/v1/models/meta/llama", ENDPOINT_MODELS],
  ["DELETE", "/v1/models/ft:x", ENDPOINT_OTHER],
  ["GET", "/v1/responses/resp_1", ENDPOINT_OTHER],
  ["POST", "/v1/audio/speech", ENDPOINT_OTHER],
  ["GET", "/v1/files/a..b/.../x.y", ENDPOINT_OTHER],
  ["HEAD", "/v1/files", ENDPOINT_OTHER],
];

for (const [method, path, endpoint] of KNOWN) {
  test(`${method} ${path}`, () => {
    const exchange = exchangeOf({ method, path });
    strictEqual(classify(exchange), null);
    strictEqual(exchange.endpoint, endpoint);
  });
}

const WRONG_METHODS = [
  ["GET", "/v1/chat/completions"],
  ["POST", "/v1/models"],
  ["HEAD", "/v1/models"],
] as const;

for (const [method, path] of WRONG_METHODS) {
  test(`${method} ${path} has the wrong method`, () => {
    const exchange = exchangeOf({ method, path });
    deepStrictEqual([classify(exchange), exchange.detail], [ERRORS.methodNotAllowed, method]);
  });
}

const NOT_SERVED = ["/", "/v1", "/v1/", "/v2/chat/completions", "/V1/files", "//v1/files", "/v1/../x", "/v1/x/.."];
const ESCAPES = [
  "/v1/./x",
  "/v1/%2e%2E/x",
  "/v1/.%2e",
  "/v1/..%2f..%2fadmin",
  "/v1/x%2F../y",
  "/v1/..\\admin",
  "/v1/x\\..",
  "/v1/x%5c..%5Cy",
  "/v1/..;/admin",
  "/v1/..%3b/admin",
  "/v1/models/../../x",
  "/v1/chat/completions/",
  "/v1//chat/completions",
  "/v1/%2Fchat/completions",
  "/v1/;/chat/completions",
];

for (const path of [...NOT_SERVED, ...ESCAPES]) {
  test(`${path} is not served`, () => {
    const exchange = exchangeOf({ method: "GET", path });
    deepStrictEqual([classify(exchange), exchange.detail], [ERRORS.notFound, `GET ${path}`]);
  });
}

test("which endpoints must name a model, and which have the usage option", () => {
  const all = [0, 1, 2, 3, 4, 5, 6];
  deepStrictEqual(all.filter(takesModel), [
    ENDPOINT_CHAT,
    ENDPOINT_COMPLETIONS,
    ENDPOINT_EMBEDDINGS,
    ENDPOINT_RESPONSES,
    ENDPOINT_MODERATIONS,
  ]);
  deepStrictEqual(all.filter(hasUsageOption), [ENDPOINT_CHAT, ENDPOINT_COMPLETIONS]);
});

const DECIDING: [string, string, boolean][] = [
  ["POST", "/v1/chat/completions", true],
  ["POST", "/v1/audio/transcriptions", true],
  ["POST", "/v1/images/edits", true],
  ["GET", "/v1/images/edits", false],
  ["GET", "/v1/files/file-1/content", false],
  ["POST", "/v1/batches", false],
  ["POST", "/v1/engines/gpt-4/completions", false],
  ["POST", "/v1/audio/transcriptions/", false],
];

for (const [method, path, decides] of DECIDING) {
  test(`the model in the body ${decides ? "is" : "may not be"} the one that works: ${method} ${path}`, () => {
    const exchange = exchangeOf({ method, path });
    classify(exchange);
    strictEqual(modelDecides(exchange), decides);
  });
}
