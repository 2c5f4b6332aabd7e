/** The official SDK against the real program: the responses API, whole and streamed. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { collect } from "../support/collect.ts";
import { RESPONSE_USAGE, TEXT, WORDS } from "../support/mock/chat-answers.ts";
import { mocked, sdkOf, startStage } from "../support/stage.ts";
import { bodyText } from "../support/upstream.ts";

const { sluice, upstream } = await startStage();
const sdk = sdkOf(sluice);
const ask = { model: "gpt-4o", input: "Say it." };

test("a response arrives whole, with its usage", async () => {
  const response = await sdk.responses.create(ask);
  strictEqual(response.output_text, TEXT);
  strictEqual(response.status, "completed");
  deepStrictEqual(response.usage, RESPONSE_USAGE);
});

test("a streamed response arrives event by event, and the completed event has the usage", async () => {
  const events = await collect(await sdk.responses.create({ ...ask, stream: true }));
  const deltas = events.flatMap((event) => (event.type === "response.output_text.delta" ? [event.delta] : []));
  deepStrictEqual(deltas, [...WORDS]);
  const last = events.at(-1);
  deepStrictEqual(last?.type === "response.completed" && last.response.usage, RESPONSE_USAGE);
});

test("a streamed response is not sent the option of chat streams", async () => {
  await collect(await sdk.responses.create({ ...ask, stream: true }));
  strictEqual(bodyText(await upstream.lastRequest()).includes("stream_options"), false);
});

test("a streamed response split at every byte arrives whole", async () => {
  const stream = await sdk.responses.create({ ...ask, stream: true }, mocked("split-every-byte"));
  const events = await collect(stream);
  strictEqual(events.length, WORDS.length + 2);
});

test("a response can be fetched and deleted by its id", async () => {
  await sdk.responses.retrieve("resp_1");
  strictEqual((await upstream.lastRequest()).target, "/v1/responses/resp_1");
  await sdk.responses.delete("resp_1");
  strictEqual((await upstream.lastRequest()).method, "DELETE");
});
