/** The official SDK against the real program: streamed chat completions and completions. */
import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import type { ChatCompletionChunk } from "openai/resources/chat/completions";
import { collect } from "../support/collect.ts";
import { CHAT_USAGE, TEXT, WORDS } from "../support/mock/chat-answers.ts";
import { mocked, sdkOf, startStage } from "../support/stage.ts";

const { sluice, upstream } = await startStage();
const sdk = sdkOf(sluice);
const messages = [{ role: "user" as const, content: "Say it." }];
const ask = { model: "gpt-4o", messages, stream: true as const };
const askUsage = { ...ask, stream_options: { include_usage: true } };

async function chunksOf(body: typeof ask, fault = ""): Promise<ChatCompletionChunk[]> {
  return collect(await sdk.chat.completions.create(body, mocked(fault)));
}

function textOf(chunks: readonly ChatCompletionChunk[]): string {
  return chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
}

test("every delta arrives in order, one chunk per event", async () => {
  const chunks = await chunksOf(ask);
  deepStrictEqual(
    chunks.map((chunk) => chunk.choices[0]?.delta.content),
    ["", ...WORDS, undefined],
  );
  strictEqual(chunks.at(-1)?.choices[0]?.finish_reason, "stop");
});

test("no usage chunk and no usage field reach a client that did not ask", async () => {
  const chunks = await chunksOf(ask);
  strictEqual(chunks.filter((chunk) => chunk.choices.length === 0).length, 0);
  strictEqual(chunks.filter((chunk) => chunk.usage).length, 0);
});

test("the usage chunk reaches a client that asked", async () => {
  const chunks = await chunksOf(askUsage);
  const last = chunks.at(-1);
  deepStrictEqual(last?.choices, []);
  deepStrictEqual(last?.usage, CHAT_USAGE);
  strictEqual(textOf(chunks), TEXT);
});

test("include_usage: false is an answer too: no usage chunk", async () => {
  const chunks = await chunksOf({ ...ask, stream_options: { include_usage: false } } as typeof ask);
  strictEqual(chunks.filter((chunk) => chunk.choices.length === 0).length, 0);
  strictEqual(textOf(chunks), TEXT);
});

for (const fault of [
  "split-every-byte",
  "one-piece",
  "crlf",
  "comments",
  "close-delimited",
  "early-hints",
  "no-usage",
]) {
  test(`a stream arrives whole from a provider with ${fault}`, async () => {
    strictEqual(textOf(await chunksOf(ask, fault)), TEXT);
  });
}

test("a split stream with usage asked for keeps its usage chunk", async () => {
  const chunks = await chunksOf(askUsage, "split-every-byte");
  deepStrictEqual(chunks.at(-1)?.usage, CHAT_USAGE);
});

test("deltas are not held back: the first half arrives while the provider pauses", async () => {
  const stream = await sdk.chat.completions.create(ask, mocked("hold=streaming-pause"));
  const chunks: ChatCompletionChunk[] = [];
  for await (const chunk of stream) {
    chunks.push(chunk);
    if (chunk.choices[0]?.delta.content === WORDS[4]) await upstream.open("streaming-pause");
  }
  strictEqual(textOf(chunks), TEXT);
});

test("the stream helper assembles the final message", async () => {
  const runner = sdk.chat.completions.stream({ model: "gpt-4o", messages });
  strictEqual(await runner.finalContent(), TEXT);
});

test("a streamed completion arrives whole and without a usage chunk", async () => {
  const stream = await sdk.completions.create({ model: "gpt-4o", prompt: "Say it.", stream: true });
  const chunks = await collect(stream);
  strictEqual(chunks.map((chunk) => chunk.choices[0]?.text).join(""), TEXT);
  strictEqual(chunks.length, WORDS.length);
});

for (const fault of ["cut-mid-stream", "fin-mid-stream", "early-end", "bad-chunk", "close-delimited-cut"]) {
  test(`a stream that breaks (${fault}) is an error for the SDK, never a silent end`, async () => {
    await rejects(chunksOf(ask, fault), OpenAI.APIError);
  });
}

test("a provider's own error event in the stream is raised by the SDK", async () => {
  await rejects(chunksOf(ask, "error-event"), (error: unknown) => {
    return error instanceof OpenAI.APIError && error.code === "busy";
  });
});
