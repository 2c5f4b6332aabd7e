/** Errors in the request body. */
import { match, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import { JSON_DEPTH_DEFAULT } from "../../src/base/limits.ts";
import { answerOf, expectError, expectFree } from "../support/expect-error.ts";
import { ask } from "../support/http-client.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { startStage } from "../support/stage.ts";

const { sluice, upstream } = await startStage(() => ({ limits: { body_bytes: "1MiB" }, timeouts: { stall: "1s" } }));

async function refused(body: string | Buffer<ArrayBuffer>, row: ErrorRow, type = "application/json"): Promise<void> {
  const path = type === "application/json" ? "/chat/completions" : "/audio/transcriptions";
  const answer = await ask(sluice, path, { body, headers: { "content-type": type }, method: "POST" });
  expectError(answer, row);
  await expectFree(sluice, answer.requestId, row);
  strictEqual((await upstream.journal()).requestsTotal, 0);
}

test("a body over the limit", () => refused(`{"model":"${"x".repeat(1_048_576)}"}`, ERRORS.bodyTooLarge));

test("an empty body", () => refused("", ERRORS.bodyEmpty));

const MALFORMED = [
  "{",
  "{]",
  '{"model":"gpt-4o"',
  '{"model":"gpt-4o",}',
  '{"model":"gpt-4o"} x',
  '{"model":"gpt-4o"}{}',
  '{"model":"gpt-4o","n":01}',
  '{"model":"gpt-4o","n":+1}',
  '{"model":"gpt-4o","n":NaN}',
  '{"model":"gpt-4o","s":"\\x"}',
  '{"model":"gpt-4o","s":"\n"}',
  "{'model':'gpt-4o'}",
  '{"model":"gpt-4o" "n":1}',
  '{"model":"gpt-4o","t":tru}',
  '{"model":"gpt-4o","a":[1,]}',
  '{"model" "gpt-4o"}',
  "not json",
  "   ",
];

for (const body of MALFORMED) {
  test(`malformed JSON: ${JSON.stringify(body)}`, () => refused(body, ERRORS.invalidJson));
}

test("invalid UTF-8 in a string", () => {
  const body = Buffer.concat([Buffer.from('{"model":"gpt-4o","s":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]);
  return refused(body, ERRORS.invalidUtf8);
});

test("nesting over the limit", () => {
  const depth = JSON_DEPTH_DEFAULT;
  return refused(`{"model":"gpt-4o","d":${"[".repeat(depth)}${"]".repeat(depth)}}`, ERRORS.jsonTooDeep);
});

test("nesting at the limit passes", async () => {
  const depth = JSON_DEPTH_DEFAULT - 1;
  const body = `{"model":"gpt-4o","d":${"[".repeat(depth)}${"]".repeat(depth)}}`;
  strictEqual((await ask(sluice, "/chat/completions", { body })).status, 200);
});

test("a megabyte of opening brackets is refused at once", () =>
  refused(`{"model":"gpt-4o","d":${"[".repeat(1_000_000)}`, ERRORS.jsonTooDeep));

for (const body of ["[]", '"text"', "1", "null", "true"]) {
  test(`JSON that is not an object: ${body}`, () => refused(body, ERRORS.jsonNotObject));
}

for (const body of [
  "{}",
  '{"messages":[]}',
  '{"messages":[{"model":"gpt-4o"}]}',
  '{"model":""}',
  '{"Model":"gpt-4o"}',
]) {
  test(`no model: ${body}`, () => refused(body, ERRORS.modelMissing));
}

const WRONG_TYPES = [
  '{"model":1}',
  '{"model":null}',
  '{"model":["gpt-4o"]}',
  '{"model":"gpt-4o","stream":"true"}',
  '{"model":"gpt-4o","stream":1}',
  '{"model":"gpt-4o","stream":true,"stream_options":[]}',
  '{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":"yes"}}',
];

for (const body of WRONG_TYPES) {
  test(`a wrong type: ${body}`, () => refused(body, ERRORS.fieldType));
}

const DUPLICATES = [
  '{"model":"gpt-4o","model":"gpt-4o-mini"}',
  '{"model":"gpt-4o","\\u006dodel":"gpt-4o"}',
  '{"model":"gpt-4o","stream":true,"stream":false}',
  '{"model":"gpt-4o","stream_options":{},"stream_options":{}}',
];

for (const body of DUPLICATES) {
  test(`a field that decides, twice: ${body}`, () => refused(body, ERRORS.fieldDuplicate));
}

const FORMS: readonly [string, string][] = [
  ["no boundary", "multipart/form-data"],
  ["a body that does not begin with the boundary", "multipart/form-data; boundary=other"],
  ["a form that does not end", "multipart/form-data; boundary=xyz"],
];

for (const [what, type] of FORMS) {
  test(`a multipart body that cannot be read: ${what}`, () =>
    refused('--xyz\r\ncontent-disposition: form-data; name="model"\r\n\r\ngpt-4o', ERRORS.invalidMultipart, type));
}

test("a body that does not arrive in time", async () => {
  const client = await RawClient.connect(sluice.port);
  const whole = requestBytes();
  await client.send(whole.subarray(0, whole.length - 10));
  const answer = answerOf(await client.response());
  expectError(answer, ERRORS.bodyTimeout);
  match(answer.headers.get("connection") ?? "", /\bclose\b/);
  await expectFree(sluice, answer.requestId, ERRORS.bodyTimeout);
  await client.close();
});
