/** What routes and targets refuse before anything is tried. */
import { deepStrictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import {
  CONDITIONAL_KEYS,
  CONDITIONAL_MODELS,
  REFUSED_REQUESTS,
  type RefusedRequest,
} from "../support/conditional-models.ts";
import { expectError, expectFree } from "../support/expect-error.ts";
import { ask } from "../support/http-client.ts";
import { startStage } from "../support/stage.ts";

const { sluice, upstream } = await startStage(() => ({ models: CONDITIONAL_MODELS, keys: CONDITIONAL_KEYS }));

const ROWS: [string, RefusedRequest, ErrorRow][] = [
  ["a request that no route is for", REFUSED_REQUESTS.noRoute, ERRORS.noRoute],
  ["an answer that would be too long", REFUSED_REQUESTS.contextTooLong, ERRORS.contextTooLong],
  ["tools for a model without", REFUSED_REQUESTS.unsupported, ERRORS.unsupported],
  ["a choice that the key does not permit", REFUSED_REQUESTS.overrideNotAllowed, ERRORS.overrideNotAllowed],
  ["a choice of nothing", REFUSED_REQUESTS.overrideInvalid, ERRORS.overrideInvalid],
];

for (const [what, { body, headers }, row] of ROWS) {
  test(what, async () => {
    const answer = await ask(sluice, "/chat/completions", { body, headers });
    expectError(answer, row);
    await expectFree(sluice, answer.requestId, row);
    deepStrictEqual((await upstream.journal()).requests, []);
  });
}
