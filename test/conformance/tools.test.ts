/** The official SDK against the real program: tool calls, whole and as streamed deltas. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { ChatCompletionChunk } from "openai/resources/chat/completions";
import { TOOL_ARGUMENTS } from "../support/mock/chat-answers.ts";
import { sdkOf, startStage } from "../support/stage.ts";
import { bodyText } from "../support/upstream.ts";

const { sluice, upstream } = await startStage();
const sdk = sdkOf(sluice);
const parameters = { type: "object", properties: { city: { type: "string" }, n: { type: "number" } } };
const tools = [{ type: "function" as const, function: { name: "weather", parameters, strict: true } }];
const ask = { model: "gpt-4o", messages: [{ role: "user" as const, content: "Weather?" }], tools };
const whole = TOOL_ARGUMENTS.join("");

test("a tool call arrives with its arguments untouched", async () => {
  const answer = await sdk.chat.completions.create(ask);
  const call = answer.choices[0]?.message.tool_calls?.[0];
  strictEqual(call?.type === "function" && call.function.arguments, whole);
  strictEqual(answer.choices[0]?.finish_reason, "tool_calls");
});

test("the tool schema reaches the provider whole", async () => {
  await sdk.chat.completions.create(ask);
  const sent: { tools: unknown } = JSON.parse(bodyText(await upstream.lastRequest()));
  deepStrictEqual(sent.tools, tools);
});

test("tool call deltas arrive one by one", async () => {
  const stream = await sdk.chat.completions.create({ ...ask, stream: true });
  const parts: (string | undefined)[] = [];
  for await (const chunk of stream) {
    for (const call of chunk.choices[0]?.delta.tool_calls ?? []) parts.push(call.function?.arguments);
  }
  deepStrictEqual(parts, ["", ...TOOL_ARGUMENTS]);
});

test("the stream helper puts a tool call together", async () => {
  const runner = sdk.chat.completions.stream(ask);
  const seen: ChatCompletionChunk[] = [];
  runner.on("chunk", (chunk) => seen.push(chunk));
  const message = await runner.finalMessage();
  const call = message.tool_calls?.[0];
  strictEqual(call?.type === "function" && call.function.arguments, whole);
  strictEqual(seen.length, TOOL_ARGUMENTS.length + 2);
});

test("an answer to a tool call goes on with the conversation", async () => {
  const call = { id: "call_1", type: "function" as const, function: { name: "weather", arguments: whole } };
  const messages = [
    ...ask.messages,
    { role: "assistant" as const, content: null, tool_calls: [call] },
    { role: "tool" as const, tool_call_id: "call_1", content: "rain" },
  ];
  await sdk.chat.completions.create({ model: "gpt-4o", messages });
  const sent: { messages: unknown } = JSON.parse(bodyText(await upstream.lastRequest()));
  deepStrictEqual(sent.messages, messages);
});
