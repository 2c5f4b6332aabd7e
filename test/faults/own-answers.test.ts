/**
 * Each client has its own answer and nothing of anybody else's, and each request reaches the provider as its client sent it:
 * many clients at a time over few connections, who leave at any moment, providers that fail at any moment, deadlines.
 * What is shared between requests (buffers, views, slabs, texts) would show here, and two mistakes are made on purpose to prove that.
 */
import { deepStrictEqual, notStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ClientStream } from "../../src/http/client-stream.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { Pipeline } from "../../src/pipeline/pipeline.ts";
import { scansOpen } from "../../src/providers/response-scan.ts";
import { Random } from "../fuzz/random.ts";
import { RawClient } from "../support/raw-client.ts";
import { chunkedRequest, requestBytes } from "../support/raw-request.ts";
import { configOf, providerConfig, RequestPath } from "../support/request-path.ts";
import { TokenProvider, tokensIn, WAYS, type Way } from "../support/token-provider.ts";
import { TRANSPORTS, type TransportKind } from "../support/transport-names.ts";
import { until } from "../support/until.ts";

const CLIENTS = 40;
const REQUESTS = 30;
/** Fewer than clients, so that requests wait, and many of them leave or are refused while they do. */
const CONNECTIONS = 12;
const TIMEOUTS = { ...configOf({}, "").timeouts, queueMs: 300, firstByteMs: 150 };
const BOUNDS = { ...configOf({}, "").bounds, connectionsPerProvider: CONNECTIONS, queuePerProvider: CLIENTS };

/** When a client leaves: never, with half of its body sent, with all of it, at the first bytes of the answer. */
const LEAVES = ["never", "never", "never", "in the body", "before the answer", "in the answer"] as const;

interface Plan {
  readonly token: string;
  readonly way: Way;
  readonly leaves: (typeof LEAVES)[number];
  readonly bytes: Buffer;
}

interface Tally {
  /** What clients got that was not theirs. */
  readonly foreign: string[];
  /** Tokens of requests that had an answer. */
  readonly answered: string[];
  /** Answers, by the way that was asked for and their status. */
  readonly answers: Map<string, number>;
}

let tokens = 0;

function planOf(random: Random, ways: readonly Way[]): Plan {
  tokens += 1;
  const token = `tok${tokens}x`;
  const way = random.pick(ways);
  const times = random.pick([5, 50, 300, random.chance(0.2) ? 12_000 : 20]);
  // What stands in front is longer at times, so that offsets differ; one alias is replaced by another name upstream.
  const fields = {
    model: random.pick(["other", "allowed"]),
    way,
    stream: way.includes("stream"),
    text: token.repeat(times),
  };
  const body = Buffer.from(JSON.stringify(fields));
  const headers = { "x-request-id": token };
  const bytes = random.chance(0.2) ? chunkedRequest(body, 2_000, headers) : requestBytes({ body, headers });
  return { token, way, leaves: random.pick(LEAVES), bytes };
}

/** Whether its connection can be used again. */
async function play(client: RawClient, { token, way, leaves, bytes }: Plan, tally: Tally): Promise<boolean> {
  const news = new Promise<void>((resolve) =>
    client.socket.once("data", () => resolve()).once("close", () => resolve()),
  );
  await client.send(leaves === "in the body" ? bytes.subarray(0, bytes.length >> 1) : bytes);
  if (leaves === "in the answer") await news;
  if (leaves !== "never") {
    note(token, client.bytes().toString("latin1"), tally);
    client.leave();
    return false;
  }
  const response = await client.response();
  if (response === null) return false;
  tally.answered.push(token);
  const kind = `${way} ${response.status}${response.complete ? "" : " cut"}`;
  tally.answers.set(kind, (tally.answers.get(kind) ?? 0) + 1);
  note(token, `${response.head} ${response.body.toString("latin1")}`, tally);
  return response.complete && !/\r\nconnection: close/i.test(response.head);
}

function note(token: string, text: string, { foreign }: Tally): void {
  foreign.push(...tokensIn(text).filter((seen) => seen !== token));
}

async function beClient(port: number, seed: number, ways: readonly Way[], tally: Tally): Promise<void> {
  const random = new Random(seed);
  let client = await RawClient.connect(port);
  for (let i = 0; i < REQUESTS; i += 1) {
    const plan = planOf(random, ways);
    if (!(await play(client, plan, tally))) {
      client.leave();
      client = await RawClient.connect(port);
    }
  }
  client.leave();
}

interface Outcome extends Tally {
  /** What the provider got that was not one request's. */
  readonly mixed: readonly string[];
}

async function crowd(transport: TransportKind, ways: readonly Way[] = WAYS): Promise<Outcome> {
  const provider = await TokenProvider.start();
  const providers = { main: providerConfig(provider.port, { transport }) };
  const path = await RequestPath.start(provider, { providers, bounds: BOUNDS, timeouts: TIMEOUTS });
  const tally: Tally = { foreign: [], answered: [], answers: new Map() };
  try {
    await Promise.all(Array.from({ length: CLIENTS }, (_, seed) => beClient(path.port, seed, ways, tally)));
    await until("nothing is in flight", () => path.pipeline.inFlight === 0);
    strictEqual(scansOpen(), 0);
    const recorded = path.records().map(({ requestId }) => requestId);
    const once = new Set(recorded);
    const missing = tally.answered.filter((token) => !once.has(token));
    deepStrictEqual([missing, once.size], [[], recorded.length]);
    return { ...tally, mixed: provider.mixed };
  } finally {
    path.stop();
    provider.stop();
  }
}

for (const transport of TRANSPORTS) {
  test(`over ${transport}, each of ${CLIENTS * REQUESTS} requests and answers is whole and its own`, async () => {
    const { foreign, mixed, answers } = await crowd(transport);
    deepStrictEqual([foreign, mixed], [[], []]);
    // Every kind of end was among them.
    for (const kind of [
      "whole 200",
      "chunked 200",
      "stream 200",
      "late 200",
      "error 429",
      "reset 502",
      "silent 504",
      "cut 200 cut",
    ])
      strictEqual((answers.get(kind) ?? 0) > 0, true, `${kind} is not among ${[...answers.keys()].join(", ")}`);
  });
}

const HARMLESS = ["whole", "chunked", "stream", "late"] as const;

test("it finds a body that is given away before the provider has it", async (t) => {
  const slot = Buffer.alloc(1_048_576);
  const { onBody } = Pipeline.prototype;
  t.mock.method(Pipeline.prototype, "onBody", function early(this: Pipeline, exchange: Exchange) {
    exchange.body?.copy(slot);
    exchange.body = slot.subarray(0, exchange.body?.length);
    onBody.call(this, exchange);
  });
  const { mixed } = await crowd("native", HARMLESS);
  notStrictEqual(mixed.length, 0);
});

test("it finds bytes of an answer that are read after their time", async (t) => {
  const { write, end } = ClientStream.prototype;
  const kept = new WeakMap<ClientStream, Uint8Array>();
  t.mock.method(ClientStream.prototype, "write", function late(this: ClientStream, chunk: Uint8Array) {
    const before = kept.get(this);
    kept.set(this, chunk);
    if (before !== undefined) write.call(this, before);
  });
  t.mock.method(ClientStream.prototype, "end", function late(this: ClientStream, last: Uint8Array) {
    const before = kept.get(this);
    if (before !== undefined) write.call(this, before);
    end.call(this, last);
  });
  const { foreign } = await crowd("native", ["stream"]);
  notStrictEqual(foreign.length, 0);
});
