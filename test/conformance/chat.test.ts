/** The official SDK against the real program: chat completions and completions, not streamed. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { UPSTREAM_MODEL } from "../support/config.ts";
import { CHAT_USAGE, TEXT } from "../support/mock/chat-answers.ts";
import { mocked, sdkOf, startStage } from "../support/stage.ts";
import { headerValues } from "../support/upstream.ts";

const { sluice, upstream } = await startStage();
const sdk = sdkOf(sluice);
const messages = [{ role: "user" as const, content: "Say it." }];

test("a chat completion arrives whole, with its usage", async () => {
  const answer = await sdk.chat.completions.create({ model: "gpt-4o", messages });
  strictEqual(answer.choices[0]?.message.content, TEXT);
  strictEqual(answer.choices[0]?.finish_reason, "stop");
  deepStrictEqual(answer.usage, CHAT_USAGE);
  strictEqual(answer.model, UPSTREAM_MODEL);
});

test("the SDK's own headers reach the provider, the gateway's key does not", async () => {
  await sdk.chat.completions.create({ model: "gpt-4o", messages });
  const seen = await upstream.lastRequest();
  strictEqual(headerValues(seen, "x-stainless-lang").length, 1);
  match(headerValues(seen, "user-agent").join(), /OpenAI/);
  strictEqual(seen.head.includes(sluice.key), false);
});

test("x-request-id is exposed as _request_id", async () => {
  const made = await sdk.chat.completions.create({ model: "gpt-4o", messages });
  match(made._request_id ?? "", /^\S{8,}$/);
  const kept = await sdk.chat.completions.create(
    { model: "gpt-4o", messages },
    { headers: { "x-request-id": "my-own-id" } },
  );
  strictEqual(kept._request_id, "my-own-id");
});

test("the raw response is available with its headers", async () => {
  const request = sdk.chat.completions.create({ model: "gpt-4o", messages }, mocked("openai-headers"));
  const { data, response } = await request.withResponse();
  strictEqual(data.choices.length, 1);
  strictEqual(response.headers.get("openai-processing-ms"), "12");
  strictEqual(response.headers.get("x-ratelimit-remaining-tokens"), "149");
});

test("a completion arrives whole", async () => {
  const answer = await sdk.completions.create({ model: "gpt-4o", prompt: "Say it." });
  strictEqual(answer.choices[0]?.text, TEXT);
  deepStrictEqual(answer.usage, CHAT_USAGE);
});

test("a gzip answer is passed as it is, and the SDK reads it", async () => {
  const answer = await sdk.chat.completions.create({ model: "gpt-4o", messages }, mocked("gzip"));
  strictEqual(answer.choices[0]?.message.content, TEXT);
});

test("an answer split at every byte arrives whole", async () => {
  const answer = await sdk.chat.completions.create({ model: "gpt-4o", messages }, mocked("chunked,split-every-byte"));
  strictEqual(answer.choices[0]?.message.content, TEXT);
});

test("fifty requests at once get their answers", async () => {
  const asked = Array.from({ length: 50 }, () => sdk.chat.completions.create({ model: "gpt-4o", messages }));
  const answers = await Promise.all(asked);
  strictEqual(answers.filter((answer) => answer.choices[0]?.message.content === TEXT).length, 50);
});
