/** Streams of the real program that pass a limit or a budget while they run: how they end, by how much they pass it, and what is booked. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { after, test } from "node:test";
import { type ConfigForm, hashOf, KEY, mockProvider, standardConfig } from "../support/config.ts";
import { sdkOf, startStage } from "../support/stage.ts";
import { TurnProvider } from "../support/turn-provider.ts";
import { until } from "../support/until.ts";
import type { Upstream } from "../support/upstream.ts";

/** A token each by any count: one piece of four bytes. */
const TOKENS_PER_READ = 4;
const CHUNK = {
  id: "chatcmpl-77",
  object: "chat.completion.chunk",
  created: 1_700_000_123,
  model: "model-upstream",
  system_fingerprint: "fp_1",
  choices: [{ index: 0, delta: { content: "word" }, finish_reason: null }],
};
const EVENT = `data: ${JSON.stringify(CHUNK)}\n\n`;
const FINISH = `data: ${JSON.stringify({ ...CHUNK, choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}\n\n`;
const DONE = "data: [DONE]\n\n";
/** An end for what nobody cuts. */
const TURNS_MAX = 60;

const provider = await TurnProvider.start(EVENT.repeat(TOKENS_PER_READ));
const OPENED = { id: "resp_7", object: "response", created_at: 1, status: "in_progress", model: "there", output: [] };
const OPENING = { type: "response.created", sequence_number: 0, response: OPENED };
const TEXT = { type: "response.output_text.delta", sequence_number: 5, item_id: "msg_1", delta: "word" };
const responder = await TurnProvider.start(
  [OPENING, ...Array<typeof TEXT>(TOKENS_PER_READ).fill(TEXT)]
    .map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    .join(""),
);
after(() => {
  provider.stop();
  responder.stop();
});

const KEYS = [
  "crowd",
  "unsaid",
  "window",
  "output",
  "tokens left",
  "dollars",
  "soft",
  "roomy",
  "sdk",
  "usage",
  "ending",
  "responses",
] as const;
type KeyName = (typeof KEYS)[number];

function configOf(upstream: Upstream): ConfigForm {
  return {
    ...standardConfig(upstream),
    workers: 2,
    providers: {
      mock: mockProvider(upstream.url),
      turns: mockProvider(provider.url),
      responder: mockProvider(responder.url),
    },
    models: { "gpt-4o": { provider: "turns", model: "model-upstream" }, responses: { provider: "responder" } },
    passthrough: "turns",
    prices: { "model-upstream": { input: 2, output: 10 } },
    keys: [{ name: "default", hash: hashOf(KEY) }, ...KEYS.map((name) => ({ name, hash: hashOf(`sk-of-${name}`) }))],
    rate_limits: [
      {
        name: "hundred",
        scope: ["key"],
        keys: ["crowd", "unsaid", "sdk", "usage", "ending", "responses"],
        tokens: "100/day",
      },
      { name: "window", scope: ["key"], keys: ["window"], output_tokens: "100/day", algorithm: "fixed_window" },
      { name: "output", scope: ["key"], keys: ["output"], output_tokens: "100/day" },
      { name: "roomy", scope: ["key"], keys: ["roomy"], tokens: "100_000/day" },
      { name: "observed", scope: ["key"], keys: ["soft"], tokens: "100/day", mode: "observe" },
    ],
    budgets: [
      { name: "tokens", scope: ["key"], keys: ["tokens left"], tokens: 100, per: "total" },
      // A hundred tokens of an answer.
      { name: "dollars", scope: ["key"], keys: ["dollars"], usd: 0.001, per: "total" },
      { name: "soft", scope: ["key"], keys: ["soft"], tokens: 100, per: "total", mode: "observe" },
    ],
  };
}

const { sluice } = await startStage(configOf);

const MESSAGES = [{ role: "user", content: "Say it." }];
let streams = 0;

interface Streamed {
  readonly stream: string;
  readonly status: number;
  readonly requestId: string;
  readonly text: string;
  /** That the client got. */
  readonly deltas: number;
}

/** A stream on a connection of its own, so that both workers get some; it goes on whenever all of a piece has come. */
async function streamOf(name: KeyName, fields: object = {}, turns = TURNS_MAX): Promise<Streamed> {
  streams += 1;
  const stream = String(streams);
  const headers = {
    authorization: `Bearer sk-of-${name}`,
    "content-type": "application/json",
    "x-stream": stream,
    connection: "close",
  };
  const asking = request(`${sluice.baseUrl}/chat/completions`, { method: "POST", headers, agent: false });
  asking.end(JSON.stringify({ model: "gpt-4o", stream: true, messages: MESSAGES, ...fields }));
  const [answer] = (await once(asking, "response")) as [IncomingMessage];
  let text = "";
  let turn = 1;
  answer.setEncoding("utf8").on("data", (part: string) => {
    text += part;
    if (!text.includes("[DONE]") && deltasIn(text) === turn * TOKENS_PER_READ)
      provider.turn(stream, turn++ < turns ? null : FINISH + DONE);
  });
  await once(answer, "end");
  const requestId = String(answer.headers["x-request-id"]);
  return { stream, status: answer.statusCode ?? 0, requestId, text, deltas: deltasIn(text) };
}

function deltasIn(text: string): number {
  return text.split('"word"').length - 1;
}

function eventsOf(text: string): Record<string, unknown>[] {
  const data = text.split("\n\n").filter((event) => event.startsWith("data: {"));
  return data.map((event) => JSON.parse(event.slice("data: ".length)));
}

function isCut({ text }: Streamed): boolean {
  return text.includes('"finish_reason":"length"');
}

async function promptTokens(answer: Streamed): Promise<number> {
  return (await sluice.recordOf(answer.requestId)).input_tokens;
}

test("a stream that passes its limit ends as one whose tokens are used up, with its own names, and its provider is told", async () => {
  const answer = await streamOf("unsaid");
  const events = eventsOf(answer.text);
  deepStrictEqual(events.at(-1), {
    ...CHUNK,
    choices: [{ index: 0, delta: {}, logprobs: null, finish_reason: "length" }],
  });
  ok(answer.text.endsWith(DONE));
  await until("the provider is told", () => provider.cancelled.has(answer.stream));
  const record = await sluice.recordOf(answer.requestId);
  deepStrictEqual(
    [record.status, record.error, record.usage_source, record.output_tokens],
    [200, "cut_by_limit", "estimated", answer.deltas],
  );
  // All that is left after the prompt was reserved; what goes beyond is one read.
  const used = record.input_tokens + answer.deltas;
  ok(used > 100 && used <= 100 + TOKENS_PER_READ, `${used} tokens`);
  strictEqual(record.cost_nanodollars, (record.input_tokens * 2 + record.output_tokens * 10) * 1_000);
  strictEqual(await sluice.metric("sluice_request_errors_total", { code: "cut_by_limit" }), 1);
  strictEqual((await streamOf("unsaid")).status, 429);
});

test("whoever asked for the usage gets it behind that, as it is booked", async () => {
  const answer = await streamOf("usage", { stream_options: { include_usage: true } });
  const [finish, usage] = eventsOf(answer.text).slice(-2);
  const record = await sluice.recordOf(answer.requestId);
  const [input, output] = [record.input_tokens, record.output_tokens];
  deepStrictEqual([finish?.["usage"], usage?.["choices"], usage?.["id"]], [null, [], CHUNK.id]);
  deepStrictEqual(usage?.["usage"], { prompt_tokens: input, completion_tokens: output, total_tokens: input + output });
  strictEqual(output, answer.deltas);
});

test("the official SDK sees an answer that was too long", async () => {
  const sdk = sdkOf(sluice, { apiKey: "sk-of-sdk", defaultHeaders: { "x-stream": "sdk" } });
  const stream = await sdk.chat.completions.create({ model: "gpt-4o", stream: true, messages: [] });
  let seen = 0;
  let reason: string | null = null;
  for await (const { choices } of stream) {
    reason = choices[0]?.finish_reason ?? reason;
    seen += choices[0]?.delta.content === "word" ? 1 : 0;
    if (reason === null && seen % TOKENS_PER_READ === 0) provider.turn("sdk");
  }
  deepStrictEqual([reason, seen], ["length", 104]);
});

test("the official SDK sees a response that is incomplete, with its own id and what was used", async () => {
  const sdk = sdkOf(sluice, { apiKey: "sk-of-responses", defaultHeaders: { "x-stream": "responses" } });
  const stream = await sdk.responses.create({ model: "responses", stream: true, input: "Say it." });
  let seen = 0;
  for await (const event of stream) {
    if (event.type === "response.output_text.delta") seen += 1;
    if (event.type === "response.incomplete") {
      const { id, status, incomplete_details, usage } = event.response;
      deepStrictEqual([id, status, incomplete_details], ["resp_7", "incomplete", { reason: "max_output_tokens" }]);
      deepStrictEqual([event.sequence_number, usage?.output_tokens], [6, seen]);
      ok(seen + (usage?.input_tokens ?? 0) > 100 && seen <= 104);
      return;
    }
    if (event.type !== "response.created" && seen % TOKENS_PER_READ === 0) responder.turn("responses");
  }
  throw new Error("the stream ended without its last event");
});

for (const name of ["roomy", "soft"] as const) {
  test(`a stream beyond what was reserved goes on where ${name === "soft" ? "nothing refuses" : "there is room"}`, async () => {
    const answer = await streamOf(name, { max_tokens: 1 });
    deepStrictEqual([answer.deltas, isCut(answer)], [TURNS_MAX * TOKENS_PER_READ, false]);
    ok(answer.text.endsWith(FINISH + DONE));
    const record = await sluice.recordOf(answer.requestId);
    deepStrictEqual([record.error, record.output_tokens], [null, answer.deltas]);
    if (name === "soft")
      strictEqual(await sluice.metric("sluice_budget_used", { budget: "soft" }), record.input_tokens + answer.deltas);
  });
}

test("a stream that ends by itself where its limit does is not cut", async () => {
  // 97 tokens of an answer are left, and a read ends at 96.
  const answer = await streamOf("ending", {}, 24);
  deepStrictEqual([answer.deltas, isCut(answer)], [96, false]);
});

/** Fifty at a time; those that were answered. */
async function crowd(name: KeyName, fields: object): Promise<Streamed[]> {
  const all = await Promise.all(Array.from({ length: 50 }, () => streamOf(name, fields)));
  ok(all.every(({ status }) => status === 200 || status === 429 || status === 402));
  return all.filter(({ status }) => status === 200);
}

/** What went through in all, by what clients got; each answered stream may be beyond by one read. */
async function passes(name: KeyName, fields: object, most: number, ofPrompt: number): Promise<void> {
  const answered = await crowd(name, fields);
  ok(answered.length >= 2, `${answered.length} were answered`);
  ok(answered.every(isCut));
  const prompts = await Promise.all(answered.map(promptTokens));
  const sum = answered.reduce((total, { deltas }, i) => total + deltas + ofPrompt * (prompts[i] ?? 0), 0);
  const bound = most + answered.length * TOKENS_PER_READ;
  ok(sum > most && sum <= bound, `${sum} of at most ${bound}, in ${answered.length} streams`);
}

const SAYS = { max_tokens: 1 };
for (const [what, name, ofPrompt] of [
  ["a rate of 100 tokens", "crowd", 1],
  ["a rate of 100 output tokens", "output", 0],
  ["a window of 100 output tokens", "window", 0],
  ["a budget of 100 tokens", "tokens left", 1],
  ["a budget of a dollar's thousandth", "dollars", 0.2],
] as const) {
  test(`fifty streams at a time pass ${what} by no more than one read each`, () => passes(name, SAYS, 100, ofPrompt));
}
