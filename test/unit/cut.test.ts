/** What a stream ends with that is cut: made of its own events, in the shape of its endpoint. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { endingOf } from "../../src/pipeline/cut.ts";
import { ENDPOINT_CHAT, ENDPOINT_COMPLETIONS, ENDPOINT_RESPONSES } from "../../src/pipeline/endpoint.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { releaseScan } from "../../src/pipeline/settle.ts";
import { feedScan, openScan } from "../../src/providers/response-scan.ts";
import { exchangeOf } from "../support/exchange.ts";

const CHAT = {
  id: "chatcmpl-9",
  object: "chat.completion.chunk",
  created: 17,
  model: "there",
  choices: [{ index: 0, delta: { content: "four" } }],
};

/** A stream that has written two tokens to a prompt of three. */
function exchangeAt(endpoint: number, changes: Partial<Exchange> = {}): Exchange {
  const exchange = Object.assign(exchangeOf(), { endpoint, model: "here", textBytes: 12, ...changes });
  exchange.scan = openScan(true);
  exchange.seen = feedScan(exchange.scan, Buffer.from(`data: ${JSON.stringify(CHAT)}\n\n`.repeat(2)));
  return exchange;
}

/** The last events behind `events`: their data, and the text behind the last of them. */
function endOf(exchange: Exchange, events: string): { data: Record<string, unknown>[]; text: string } {
  const text = endingOf(exchange, Buffer.from(events));
  releaseScan(exchange);
  const lines = text.split("\n").filter((line) => line.startsWith("data: {"));
  return { data: lines.map((line) => JSON.parse(line.slice("data: ".length))), text };
}

for (const lineBreak of ["\n", "\r\n", "\r"]) {
  test(`a chat whose lines end with ${JSON.stringify(lineBreak)} keeps its names`, () => {
    const last = `data: ${JSON.stringify(CHAT)}${lineBreak}${lineBreak}: comment${lineBreak}${lineBreak}`;
    const { data, text } = endOf(exchangeAt(ENDPOINT_CHAT), last);
    const choices = [{ index: 0, delta: {}, logprobs: null, finish_reason: "length" }];
    deepStrictEqual(data, [{ ...CHAT, choices }]);
    strictEqual(text.endsWith("\n\ndata: [DONE]\n\n"), true);
  });
}

test("every one of several answers is ended, and not more than a stream can have", () => {
  const indexes = (answers: number) => {
    const { data } = endOf(exchangeAt(ENDPOINT_CHAT, { answers }), `data: ${JSON.stringify(CHAT)}\n\n`);
    const choices = data[0]?.["choices"] as { index: number }[] | undefined;
    return choices?.map(({ index }) => index) ?? [];
  };
  deepStrictEqual(indexes(3), [0, 1, 2]);
  strictEqual(indexes(10 ** 9).length, 128);
});

test("the usage comes behind, if it was asked for", () => {
  const { data } = endOf(exchangeAt(ENDPOINT_CHAT, { usageAsked: true }), `data: ${JSON.stringify(CHAT)}\n\n`);
  const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
  deepStrictEqual(data[1], { ...CHAT, choices: [], usage });
  strictEqual(data[0]?.["usage"], null);
});

test("a completion has text in the place of a delta", () => {
  const event = { id: "cmpl-1", object: "text_completion", created: 3, model: "there", choices: [{ text: "a" }] };
  const { data } = endOf(exchangeAt(ENDPOINT_COMPLETIONS), `data: ${JSON.stringify(event)}\n\n`);
  const choices = [{ index: 0, text: "", logprobs: null, finish_reason: "length" }];
  deepStrictEqual(data, [{ ...event, choices }]);
});

test("a stream that says nothing about itself is ended all the same", () => {
  const exchange = exchangeAt(ENDPOINT_CHAT);
  const { data } = endOf(exchange, "data: {broken\n\ndata: [1]\n\n");
  deepStrictEqual(
    [data[0]?.["id"], data[0]?.["object"], data[0]?.["model"]],
    [exchange.requestId, "chat.completion.chunk", "here"],
  );
});

const OPENING = {
  type: "response.created",
  sequence_number: 0,
  response: {
    id: "resp_1",
    object: "response",
    created_at: 5,
    status: "in_progress",
    model: "there",
    output: [],
    usage: null,
  },
};

test("a response is incomplete, with what its first event said", () => {
  const opening = Buffer.from(`event: response.created\ndata: ${JSON.stringify(OPENING)}\n\n`);
  const delta = { type: "response.output_text.delta", sequence_number: 41, item_id: "msg_1", delta: "four" };
  const events = `event: response.output_text.delta\ndata: ${JSON.stringify(delta)}\n\n`;
  const { data, text } = endOf(exchangeAt(ENDPOINT_RESPONSES, { opening }), events);
  match(text, /^event: response\.incomplete\ndata: \{.*\}\n\n$/);
  const [end] = data;
  deepStrictEqual([end?.["type"], end?.["sequence_number"]], ["response.incomplete", 42]);
  deepStrictEqual(end?.["response"], {
    ...OPENING.response,
    status: "incomplete",
    incomplete_details: { reason: "max_output_tokens" },
    usage: {
      input_tokens: 3,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: 2,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: 5,
    },
  });
});
