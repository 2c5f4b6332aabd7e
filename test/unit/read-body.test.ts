/** What a body says about routing, and which bodies are refused. The scan itself is tested in scan-request.test.ts. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import { MODEL_BYTES_MAX } from "../../src/base/limits.ts";
import { classify } from "../../src/pipeline/endpoint.ts";
import { readBody } from "../../src/pipeline/read-body.ts";
import { exchangeOf } from "../support/exchange.ts";

const JSON_TYPE = "application/json";
const CHAT = "/v1/chat/completions";
const OTHER = "/v1/other";
const FORM = 'multipart/form-data; boundary="b"';
const long = "m".repeat(MODEL_BYTES_MAX + 1);

function form(...names: string[]): string {
  return `${names.map((name) => `--b\r\ncontent-disposition: form-data; name=${name}\r\n\r\nv\r\n`).join("")}--b--`;
}

/** Path, content type, body; then the error or the model. */
const CASES: [string, string, string, ErrorRow | string][] = [
  [CHAT, JSON_TYPE, '{"model":"m"}', "m"],
  [CHAT, "text/plain", '{"model":"m"}', "m"],
  [CHAT, JSON_TYPE, '{"model":"\\u006d\\ud83d\\ude00"}', "m\u{1f600}"],
  [CHAT, JSON_TYPE, "", ERRORS.bodyEmpty],
  [CHAT, JSON_TYPE, "{}", ERRORS.modelMissing],
  [CHAT, JSON_TYPE, '{"model":""}', ERRORS.modelMissing],
  [CHAT, JSON_TYPE, '{"model":1}', ERRORS.fieldType],
  [CHAT, JSON_TYPE, '{"model":"a","model":"b"}', ERRORS.fieldDuplicate],
  [CHAT, JSON_TYPE, "[]", ERRORS.jsonNotObject],
  [CHAT, JSON_TYPE, "{", ERRORS.invalidJson],
  [CHAT, JSON_TYPE, `{"a":${"[".repeat(64)}${"]".repeat(64)}}`, ERRORS.jsonTooDeep],
  [CHAT, JSON_TYPE, `{"model":"${long}"}`, ERRORS.modelNotFound],
  [OTHER, JSON_TYPE, "", ""],
  [OTHER, JSON_TYPE, '{"model":"m"}', "m"],
  [OTHER, "application/json ; charset=utf-8", '{"model":"m"}', "m"],
  [OTHER, JSON_TYPE, "{}", ""],
  [OTHER, JSON_TYPE, "[1]", ""],
  [OTHER, JSON_TYPE, "{", ERRORS.invalidJson],
  [OTHER, "application/jsonl", "{}\n{}", ""],
  [OTHER, "application/octet-stream", '{"model":"m"}', ""],
  [OTHER, FORM, form("model"), "v"],
  [OTHER, FORM, form("x"), ""],
  [OTHER, FORM, form("model", "model"), ERRORS.fieldDuplicate],
  [OTHER, FORM, "--c--", ERRORS.invalidMultipart],
];

for (const [path, contentType, body, expected] of CASES) {
  test(`${path} ${contentType} ${body.slice(0, 40)}`, () => {
    const exchange = exchangeOf({ path, contentType, body });
    classify(exchange);
    const error = readBody(exchange);
    if (typeof expected === "string") deepStrictEqual([error, exchange.model], [null, expected]);
    else strictEqual(error, expected);
  });
}

test("invalid UTF-8 is told from invalid JSON", () => {
  const exchange = exchangeOf({ body: Buffer.from('{"model":"\xff"}', "latin1") });
  classify(exchange);
  strictEqual(readBody(exchange), ERRORS.invalidUtf8);
});

test("the buffer behind the body is not read", () => {
  const exchange = exchangeOf({ body: '{"model":"m"} garbage' });
  exchange.bodyBytes = '{"model":"m"}'.length;
  classify(exchange);
  deepStrictEqual([readBody(exchange), exchange.model], [null, "m"]);
});
