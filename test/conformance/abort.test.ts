/** The official SDK against the real program: aborts, timeouts and retries. */
import { rejects, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { TEXT } from "../support/mock/chat-answers.ts";
import { mocked, sdkOf, startStage } from "../support/stage.ts";

const { sluice, upstream } = await startStage();
const sdk = sdkOf(sluice);
const ask = { model: "gpt-4o", messages: [{ role: "user" as const, content: "Say it." }] };

test("a stream that is left in the middle is cancelled upstream", async () => {
  const stream = await sdk.chat.completions.create({ ...ask, stream: true }, mocked("stall-mid-stream"));
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta.content === " quick") break;
  }
  const journal = await upstream.waitForAborts(1);
  strictEqual(journal.requests[0]?.state, "aborted");
});

test("an answer that is not streamed is cancelled upstream when the client leaves", async () => {
  const controller = new AbortController();
  const options = { ...mocked("stall-before-head"), signal: controller.signal };
  const answer = sdk.chat.completions.create(ask, options);
  await Promise.all([rejects(answer, OpenAI.APIUserAbortError), abortWhenSeen(controller)]);
  await upstream.waitForAborts(1);
});

async function abortWhenSeen(controller: AbortController): Promise<void> {
  await upstream.waitFor("the request is received", ({ requests }) => requests[0]?.state === "received");
  controller.abort();
}

test("a timeout of the SDK is a timeout there and a cancel upstream", async () => {
  const options = { ...mocked("stall-before-head"), timeout: 300 };
  await rejects(sdk.chat.completions.create(ask, options), OpenAI.APIConnectionTimeoutError);
  await upstream.waitForAborts(1);
});

test("the SDK's retries get through: two failures, then the answer", async () => {
  const patient = sdkOf(sluice, { maxRetries: 2 });
  const answer = await patient.chat.completions.create(ask, mocked("fail=sdk-retries:2"));
  strictEqual(answer.choices[0]?.message.content, TEXT);
  strictEqual((await upstream.journal()).requestsTotal, 3);
});

test("the gateway itself sends a failed request only once", async () => {
  await rejects(sdk.chat.completions.create(ask, mocked("status=500")), OpenAI.InternalServerError);
  strictEqual((await upstream.journal()).requestsTotal, 1);
});
