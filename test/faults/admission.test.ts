/** Errors of admission and routing. */
import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { mockProvider } from "../support/config.ts";
import { answerOf, expectError, expectFree } from "../support/expect-error.ts";
import { ask, chat } from "../support/http-client.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { startStage } from "../support/stage.ts";
import { until } from "../support/until.ts";

const { sluice } = await startStage((upstream) => ({
  // With one provider alone, that is the passthrough.
  passthrough: undefined,
  providers: { mock: mockProvider(upstream.url), other: mockProvider(upstream.url) },
  limits: { body_bytes: 65_536, body_bytes_in_flight: 65_536 },
}));

test("bodies over the bytes in flight are refused, and admitted again when others are done", async () => {
  const first = await RawClient.connect(sluice.port);
  const large = requestBytes({ body: `{"model":"gpt-4o","pad":"${"x".repeat(60_000)}"}` });
  await first.send(large.subarray(0, large.length - 1));
  await until("its bytes are reserved", async () => (await sluice.metric("sluice_request_body_bytes_in_flight")) > 0);
  const second = await RawClient.connect(sluice.port);
  const answer = answerOf(await second.ask(large));
  expectError(answer, ERRORS.overloaded);
  strictEqual(answer.headers.get("retry-after") !== null, true);
  strictEqual((await first.ask(large.subarray(large.length - 1))).status, 200);
  await expectFree(sluice, answer.requestId, ERRORS.overloaded);
  const third = await RawClient.connect(sluice.port);
  strictEqual((await third.ask(large)).status, 200);
  for (const client of [first, second, third]) client.leave();
});

test("a model that nobody serves", async () => {
  const answer = await chat(sluice, "", '{"model":"gpt-nine"}');
  expectError(answer, ERRORS.modelNotFound);
  await expectFree(sluice, answer.requestId, ERRORS.modelNotFound);
});

test("a request that names no model where there is no passthrough", async () => {
  const answer = await ask(sluice, "/files");
  expectError(answer, ERRORS.noPassthrough);
  await expectFree(sluice, answer.requestId, ERRORS.noPassthrough);
});
