/** Every request leaves one record with the right usage and cost: field.md's first complaint. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { UPSTREAM_MODEL } from "../support/config.ts";
import { ask, chat, streamChat } from "../support/http-client.ts";
import { WORDS } from "../support/mock/chat-answers.ts";
import { Program, ROOT } from "../support/program.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes, STREAM_BODY } from "../support/raw-request.ts";
import { startStage } from "../support/stage.ts";
import { until } from "../support/until.ts";
import type { RecordRow } from "../support/usage-db.ts";

const { sluice, upstream } = await startStage();

/** 16 uncached, 5 cached and 9 output tokens at 2.5, 1.25 and 10 dollars per million, in nano-dollars. */
const CHAT_COST = 16 * 2_500 + 5 * 1_250 + 9 * 10_000;

function tokensOf(row: RecordRow): number[] {
  return [row.input_tokens, row.cached_tokens, row.output_tokens, row.reasoning_tokens];
}

const CHAT_TOKENS = [21, 5, 9, 2];

test("an answer that is not streamed is measured", async () => {
  const row = await sluice.recordOf((await chat(sluice)).requestId);
  strictEqual(row.usage_source, "measured");
  deepStrictEqual(tokensOf(row), CHAT_TOKENS);
  strictEqual(row.cost_nanodollars, CHAT_COST);
  deepStrictEqual([row.status, row.upstream_status, row.error, row.attempts], [200, 200, null, 1]);
});

test("the record names key, models, provider and endpoint", async () => {
  const row = await sluice.recordOf((await chat(sluice)).requestId);
  deepStrictEqual(
    [row.key, row.model, row.upstream_model, row.provider],
    ["default", "gpt-4o", UPSTREAM_MODEL, "mock"],
  );
  deepStrictEqual([row.endpoint, row.method, row.path], ["chat/completions", "POST", "/v1/chat/completions"]);
});

test("the hourly sums name the target, and sluice usage prints it", async () => {
  await sluice.recordOf((await chat(sluice)).requestId);
  await sluice.recordOf((await chat(sluice, "", { model: "gpt-4o-mini", messages: [] })).requestId);
  const usage = new Program([
    join(ROOT, "src/main.ts"),
    "usage",
    "-c",
    sluice.configFile,
    "--by",
    "model,target",
    "--json",
  ]);
  strictEqual(await usage.end(), 0, usage.stderr());
  const text = await until("the rows are printed", () => usage.stdout().endsWith("]\n") && usage.stdout());
  const rows: Record<string, unknown>[] = JSON.parse(text);
  const targets = rows.map((row) => `${row["model"]} -> ${row["target"]}`);
  deepStrictEqual(
    ["gpt-4o", "gpt-4o-mini"].map((model) => targets.filter((line) => line.startsWith(`${model} -> mock`))),
    [[`gpt-4o -> mock/${UPSTREAM_MODEL}`], ["gpt-4o-mini -> mock/gpt-4o-mini"]],
  );
});

for (const fault of ["", "split-every-byte", "one-piece", "crlf", "close-delimited", "comments"]) {
  test(`a stream is measured though the client did not ask for usage (provider: ${fault || "plain"})`, async () => {
    const answer = await streamChat(sluice, fault);
    const row = await sluice.recordOf(answer.requestId);
    strictEqual(answer.text.includes("completion_tokens"), false);
    deepStrictEqual([row.usage_source, row.stream, ...tokensOf(row)], ["measured", 1, ...CHAT_TOKENS]);
    strictEqual(row.cost_nanodollars, CHAT_COST);
  });
}

test("a stream whose client asked for usage is measured once", async () => {
  const answer = await streamChat(sluice, "", { stream_options: { include_usage: true } });
  const row = await sluice.recordOf(answer.requestId);
  deepStrictEqual(tokensOf(row), CHAT_TOKENS);
});

test("a stream of a provider without usage is estimated from the bytes that passed", async () => {
  const row = await sluice.recordOf((await streamChat(sluice, "no-usage")).requestId);
  strictEqual(row.usage_source, "estimated");
  strictEqual(row.output_tokens >= WORDS.length, true, String(row.output_tokens));
  strictEqual(row.input_tokens > 0, true);
  strictEqual(row.cost_nanodollars > 0, true);
});

test("a whole answer of a provider without usage is estimated", async () => {
  const row = await sluice.recordOf((await chat(sluice, "no-usage")).requestId);
  strictEqual(row.usage_source, "estimated");
  strictEqual(row.output_tokens > 0, true);
});

test("a client that leaves in the middle is charged what it saw, estimated, and the provider is cancelled", async () => {
  const client = await RawClient.connect(sluice.port);
  await client.send(
    requestBytes({ body: STREAM_BODY, headers: { "x-mock": "stall-mid-stream", "x-request-id": "left" } }),
  );
  await client.sees(" brown");
  client.leave();
  await upstream.waitForAborts(1);
  const row = await sluice.recordOf("left");
  deepStrictEqual([row.usage_source, row.client_aborted, row.error], ["estimated", 1, "client_aborted"]);
  strictEqual(row.output_tokens >= 3 && row.output_tokens <= WORDS.length, true, String(row.output_tokens));
});

test("a client that leaves before the answer is recorded too", async () => {
  const client = await RawClient.connect(sluice.port);
  await client.send(requestBytes({ headers: { "x-mock": "stall-before-head", "x-request-id": "left-early" } }));
  await upstream.lastRequest();
  client.leave();
  await upstream.waitForAborts(1);
  const row = await sluice.recordOf("left-early");
  deepStrictEqual([row.status, row.client_aborted], [499, 1]);
});

for (const fault of ["cut-mid-stream", "fin-mid-stream", "close-delimited-cut", "early-end", "bad-chunk"]) {
  test(`a provider that dies in the middle (${fault}) leaves an estimate`, async () => {
    const answer = await streamChat(sluice, fault).catch(() => null);
    const row = answer === null ? (await sluice.records(1)).at(-1) : await sluice.recordOf(answer.requestId);
    strictEqual(row?.usage_source, "estimated");
    strictEqual(row.output_tokens >= 3, true, String(row.output_tokens));
    strictEqual(row.error !== null, true);
  });
}

test("an error of the provider costs nothing", async () => {
  const row = await sluice.recordOf((await chat(sluice, "status=500")).requestId);
  deepStrictEqual([row.usage_source, row.cost_nanodollars, row.status, row.upstream_status], ["none", 0, 500, 500]);
});

test("an error of the client costs nothing and never reaches the provider", async () => {
  const answer = await chat(sluice, "", "{");
  const row = await sluice.recordOf(answer.requestId);
  deepStrictEqual([row.usage_source, row.cost_nanodollars, row.status, row.attempts], ["none", 0, 400, 0]);
  strictEqual((await upstream.journal()).requestsTotal, 0);
});

for (const stream of [false, true]) {
  test(`responses are measured (stream: ${stream})`, async () => {
    const answer = await ask(sluice, "/responses", { body: { model: "gpt-4o", input: "x", stream } });
    const row = await sluice.recordOf(answer.requestId);
    deepStrictEqual([row.usage_source, ...tokensOf(row)], ["measured", 31, 7, 12, 4]);
    strictEqual(row.endpoint, "responses");
  });
}

test("embeddings are measured", async () => {
  const answer = await ask(sluice, "/embeddings", { body: { model: "text-embedding-3-small", input: "x" } });
  const row = await sluice.recordOf(answer.requestId);
  deepStrictEqual([row.usage_source, ...tokensOf(row)], ["measured", 8, 0, 0, 0]);
});

test("a model without a price is marked as such", async () => {
  const answer = await chat(sluice, "", { model: "gpt-4o-mini", messages: [] });
  const row = await sluice.recordOf(answer.requestId);
  deepStrictEqual([row.unpriced, row.cost_nanodollars, row.usage_source], [1, 0, "measured"]);
});

test("records count the body bytes of both directions", async () => {
  const body = '{"model":"gpt-4o-mini","messages":[]}';
  const answer = await chat(sluice, "", body);
  const row = await sluice.recordOf(answer.requestId);
  deepStrictEqual([row.request_bytes, row.response_bytes], [body.length, answer.text.length]);
});
