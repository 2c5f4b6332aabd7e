/** Errors of keys and of what they may use. */
import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import { expectError, expectFree } from "../support/expect-error.ts";
import { faultyConfig } from "../support/faulty-config.ts";
import { ask } from "../support/http-client.ts";
import { startStage } from "../support/stage.ts";

const { sluice, upstream } = await startStage(faultyConfig);
const body = '{"model":"gpt-4o","messages":[]}';

const REFUSED: readonly [string, Record<string, string>, ErrorRow][] = [
  ["no key", { authorization: "" }, ERRORS.keyMissing],
  ["a wrong key", { authorization: "Bearer sk-wrong" }, ERRORS.keyInvalid],
  ["a disabled key", { authorization: "Bearer sk-off" }, ERRORS.keyDisabled],
  ["an expired key", { authorization: "Bearer sk-old" }, ERRORS.keyExpired],
  ["a model that the key may not use", { authorization: "Bearer sk-narrow" }, ERRORS.modelNotAllowed],
];

for (const [what, headers, row] of REFUSED) {
  test(`${row.code}: ${what}`, async () => {
    const answer = await ask(sluice, "/chat/completions", { body, headers });
    expectError(answer, row);
    await expectFree(sluice, answer.requestId, row);
    strictEqual((await upstream.journal()).requestsTotal, 0);
  });
}

test("a key with a list of models on a request that names none", async () => {
  const answer = await ask(sluice, "/files", { headers: { authorization: "Bearer sk-narrow" } });
  expectError(answer, ERRORS.modelRequiredByKey);
  await expectFree(sluice, answer.requestId, ERRORS.modelRequiredByKey);
});

test("a key is checked before the body is read", async () => {
  const large = "x".repeat(2_000_000);
  const answer = await ask(sluice, "/chat/completions", { body: large, headers: { authorization: "Bearer sk-wrong" } });
  expectError(answer, ERRORS.keyInvalid);
});
