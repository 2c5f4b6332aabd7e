/** Errors in the connection and the head: the rows of the error table that need raw sockets. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { HEADER_BYTES_MAX, TARGET_BYTES_MAX } from "../../src/base/limits.ts";
import { answerOf, expectError, expectFree } from "../support/expect-error.ts";
import type { Answer } from "../support/http-client.ts";
import { RawClient } from "../support/raw-client.ts";
import { type RequestForm, requestBytes } from "../support/raw-request.ts";
import { startStage } from "../support/stage.ts";

const { sluice, upstream } = await startStage();

async function send(form: RequestForm): Promise<Answer> {
  const client = await RawClient.connect(sluice.port);
  const answer = answerOf(await client.ask(requestBytes(form)));
  client.leave();
  return answer;
}

test("ambiguous framing closes the connection without an answer, and is recorded", async () => {
  const client = await RawClient.connect(sluice.port);
  await client.send(requestBytes({ headers: { "Content-Length": "5", "x-request-id": "ambiguous" } }));
  strictEqual(await client.response(), null);
  await client.close();
  const [record] = await sluice.records(1);
  deepStrictEqual([record?.error, record?.status], [ERRORS.badFraming.code, 0]);
  strictEqual((await upstream.journal()).requestsTotal, 0);
});

test("a header block over the limit", async () => {
  const answer = await send({ headers: { "x-large": "h".repeat(HEADER_BYTES_MAX) } });
  expectError(answer, ERRORS.headersTooLarge);
  await expectFree(sluice, answer.requestId, ERRORS.headersTooLarge);
});

test("a header block just under the limit passes", async () => {
  strictEqual((await send({ headers: { "x-large": "h".repeat(HEADER_BYTES_MAX - 1_000) } })).status, 200);
});

test("a target over the limit", async () => {
  const answer = await send({ target: `/v1/files?${"x".repeat(TARGET_BYTES_MAX)}` });
  expectError(answer, ERRORS.targetTooLong);
  await expectFree(sluice, answer.requestId, ERRORS.targetTooLong);
});

test("a header value that HTTP does not allow", async () => {
  const answer = await send({ headers: { "x-custom": "a\xffb" } });
  expectError(answer, ERRORS.invalidHeader);
  await expectFree(sluice, answer.requestId, ERRORS.invalidHeader);
});

for (const target of [
  "/",
  "/v2/chat/completions",
  "/v1",
  "/v1/",
  "/chat/completions",
  "/v1/../admin",
  "/v1/%2e%2e/x",
]) {
  test(`a path outside of the API: ${target}`, async () => {
    const answer = await send({ target });
    expectError(answer, ERRORS.notFound);
    await expectFree(sluice, answer.requestId, ERRORS.notFound);
    strictEqual((await upstream.journal()).requestsTotal, 0);
  });
}

for (const [method, target] of [
  ["GET", "/v1/chat/completions"],
  ["DELETE", "/v1/embeddings"],
  ["POST", "/v1/models"],
  ["PUT", "/v1/responses"],
] as const) {
  test(`a method that the path does not take: ${method} ${target}`, async () => {
    const answer = await send({ method, target });
    expectError(answer, ERRORS.methodNotAllowed);
    await expectFree(sluice, answer.requestId, ERRORS.methodNotAllowed);
  });
}
