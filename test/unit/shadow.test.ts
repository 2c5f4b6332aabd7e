/** Shadow copies on the whole request path: what they are, when they go, what they leave, and that clients notice nothing. */
import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import type { Socket } from "node:net";
import { after, beforeEach, test } from "node:test";
import { SHADOW_DROPS, type ShadowDrop } from "../../src/base/shadow-drops.ts";
import type { ModelConfig } from "../../src/config/model.ts";
import type { Config } from "../../src/config/schema.ts";
import {
  SHADOW_BYTES_IN_FLIGHT,
  SHADOW_DROP_0,
  SHADOW_FAILURES,
  SHADOWS,
  SHADOWS_IN_FLIGHT,
} from "../../src/shm/layout.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { configOf, modelOf, providerConfig, RequestPath, ScriptedProvider } from "../support/request-path.ts";
import { until } from "../support/until.ts";

const BODY = '{"model":"copied","messages":[{"role":"user","content":"Say it."}]}';
const REQUEST = requestBytes({ body: BODY });
const USAGE = '{"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}';
const ANSWER = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${USAGE.length}\r\n\r\n${USAGE}`;

const real = await ScriptedProvider.start(() => {});
const shadow = await ScriptedProvider.start(() => {});
const path = await RequestPath.start(real);
after(() => {
  path.stop();
  real.stop();
  shadow.stop();
});

interface Changes {
  readonly percent?: number;
  readonly inFlight?: number;
  readonly provider?: string;
  readonly config?: Partial<Config>;
}

async function configure({
  percent = 100,
  inFlight = 16,
  provider = "shadow",
  config = {},
}: Changes = {}): Promise<void> {
  const copies = { provider, model: "next", percent, inFlight };
  const model: ModelConfig = { ...modelOf("main", "m"), shadow: copies };
  const providers = { main: providerConfig(real.port), shadow: providerConfig(shadow.port) };
  const prices = { next: { inputPico: 1_000_000, cachedInputPico: 1_000_000, outputPico: 2_000_000 } };
  await path.reload(configOf(providers, path.dataDir, { models: { copied: model }, prices, ...config }));
}

function count(index: number): number {
  return path.counters.sum()[index] ?? 0;
}

function dropped(reason: ShadowDrop): number {
  return count(SHADOW_DROP_0 + SHADOW_DROPS.indexOf(reason));
}

/** By gauges of a sweep that is still to come. */
async function nothingIsLeft(): Promise<void> {
  const { tickMs } = path.pipeline;
  await until("it is swept", () => path.pipeline.tickMs > tickMs || undefined);
  await until("no copy is left, and no byte of one", () => {
    return (count(SHADOWS_IN_FLIGHT) === 0 && count(SHADOW_BYTES_IN_FLIGHT) === 0) || undefined;
  });
}

async function ask(request: Buffer | string = REQUEST): Promise<number> {
  const client = await RawClient.connect(path.port);
  const { status } = await client.ask(request);
  client.leave();
  return status;
}

/** What the shadow target got on its last connection. */
function copy(): string {
  return (shadow.received.at(-1) ?? Buffer.alloc(0)).toString();
}

beforeEach(async () => {
  real.script = (socket) => socket.write(ANSWER);
  shadow.script = (socket) => socket.write(ANSWER);
  await configure();
});

test("the copy is the client's request with the shadow target's model, and is booked apart", async () => {
  const before = path.records().length;
  const sent = count(SHADOWS);
  equal(await ask(), 200);
  await until("both are recorded", () => path.records().length === before + 2 || undefined);
  const [request, booked] = path.records().slice(-2);
  match(copy(), /^POST \/base\/v1\/chat\/completions HTTP\/1\.1\r\n/);
  ok(copy().endsWith(BODY.replace("copied", "next")), copy());
  match(real.received.at(-1)?.toString() ?? "", /"model":"m"/);
  equal(count(SHADOWS), sent + 1);
  deepEqual([request?.kind, request?.upstreamModel, request?.status], [0, "m", 200]);
  deepEqual(
    [booked?.kind, booked?.provider, booked?.upstreamModel, booked?.requestId],
    [3, "shadow", "next", request?.requestId],
  );
  deepEqual([booked?.inputTokens, booked?.outputTokens, booked?.costNanodollars], [7, 5, 17_000]);
  await nothingIsLeft();
});

test("a stream's copy asks for its usage too", async () => {
  const event = `data: ${USAGE}\n\ndata: [DONE]\n\n`;
  const stream = `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: ${event.length}\r\n\r\n${event}`;
  shadow.script = (socket) => socket.write(stream);
  real.script = (socket) => socket.write(stream);
  const before = path.records().length;
  const body = '{"model":"copied","stream":true}';
  equal(await ask(requestBytes({ body })), 200);
  await until("both are recorded", () => path.records().length === before + 2 || undefined);
  match(copy(), /"include_usage":true/);
  equal(path.records().at(-1)?.outputTokens, 5);
  await nothingIsLeft();
});

test("a copy goes only after its request was sent, and a slow one keeps nobody waiting", async () => {
  const held: Socket[] = [];
  shadow.script = (socket) => held.push(socket);
  equal(await ask(), 200);
  await until("the copy is there", () => held.length > 0 || undefined);
  ok(count(SHADOWS) > 0);
  held.pop()?.write(ANSWER);
  await nothingIsLeft();
});

test("a client that leaves does not end the copy", async () => {
  const held: Socket[] = [];
  shadow.script = (socket) => held.push(socket);
  real.script = () => {};
  const before = path.records().length;
  const client = await RawClient.connect(path.port);
  await client.send(REQUEST);
  await until("the copy is there", () => held.length > 0 || undefined);
  client.leave();
  await until("the request is recorded", () => path.records().length > before || undefined);
  held.pop()?.write(ANSWER);
  await until("so is its copy", () => path.records().length === before + 2 || undefined);
  equal(path.records().at(-1)?.kind, 3);
  await nothingIsLeft();
});

const FAULTS: Readonly<Record<string, (socket: Socket) => void>> = {
  "an error": (socket) => socket.write("HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\n{}"),
  "a credential that is refused": (socket) => socket.write("HTTP/1.1 401 No\r\ncontent-length: 2\r\n\r\n{}"),
  "a reset": (socket) => socket.resetAndDestroy(),
  "an answer that breaks off": (socket) => socket.end(ANSWER.slice(0, -5)),
  "no HTTP": (socket) => socket.end("never\r\n\r\n"),
  "no answer": () => {},
  "an answer that stops": (socket) => socket.write(ANSWER.slice(0, -5)),
};

for (const [name, fault] of Object.entries(FAULTS)) {
  test(`${name} for the copy is not the client's, is counted, and leaves nothing`, async () => {
    shadow.script = fault;
    const timeouts = { ...configOf({}, "/nowhere").timeouts, firstByteMs: 100, idleMs: 100 };
    await configure({ config: { timeouts } });
    const failures = count(SHADOW_FAILURES);
    // No more of them may take connections of a provider at a time.
    for (let i = 0; i < 4; i += 1) equal(await ask(), 200);
    await until("all have failed", () => count(SHADOW_FAILURES) === failures + 4 || undefined);
    await nothingIsLeft();
  });
}

test("an answer without end is cut", async () => {
  const block = Buffer.alloc(1_048_576, 32);
  let open = 0;
  shadow.script = (socket) => {
    open += 1;
    socket.write("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
    const more = () => {
      if (!socket.destroyed) socket.write(`100000\r\n${block.toString("latin1")}\r\n`, () => setImmediate(more));
    };
    more();
    socket.on("close", () => {
      open -= 1;
    });
  };
  const failures = count(SHADOW_FAILURES);
  equal(await ask(), 200);
  await until("it is cut", () => (count(SHADOW_FAILURES) === failures + 1 && open === 0) || undefined);
  await nothingIsLeft();
});

test("beyond the copies in flight requests have none", async () => {
  const held: Socket[] = [];
  shadow.script = (socket) => held.push(socket);
  await configure({ inFlight: 2 });
  const before = dropped("in_flight");
  for (let i = 0; i < 5; i += 1) equal(await ask(), 200);
  await until("two are there", () => held.length === 2 || undefined);
  equal(dropped("in_flight"), before + 3);
  for (const socket of held) socket.write(ANSWER);
  await nothingIsLeft();
});

test("a body that is beyond what copies may hold has none", async () => {
  const { bounds } = configOf({}, "/nowhere");
  await configure({ inFlight: 256, config: { bounds: { ...bounds, bodyBytes: 2 ** 25, bodyBytesInFlight: 2 ** 26 } } });
  const before = dropped("bytes") + dropped("upload");
  const long = BODY.replace("Say it.", "x".repeat(17_000_000));
  equal(await ask(requestBytes({ body: long })), 200);
  equal(dropped("bytes") + dropped("upload"), before + 1);
  await nothingIsLeft();
});

test("a provider that both go to: a copy takes none of its last connections, and never waits for one", async () => {
  const held: Socket[] = [];
  real.script = (socket) => held.push(socket);
  await configure({ provider: "main" });
  const { connectionsPerProvider } = path.pipeline.snapshot.bounds;
  const clients = await Promise.all(Array.from({ length: connectionsPerProvider }, () => RawClient.connect(path.port)));
  const before = dropped("busy");
  const answers = clients.map((client) => client.ask(REQUEST));
  await until("all requests are there, with the copies that had room", () => {
    return (held.length >= connectionsPerProvider && dropped("busy") > before) || undefined;
  });
  const all = setInterval(() => {
    for (const socket of held.splice(0)) socket.write(ANSWER);
  }, 5);
  deepEqual(new Set((await Promise.all(answers)).map(({ status }) => status)), new Set([200]));
  await nothingIsLeft();
  clearInterval(all);
  for (const client of clients) client.leave();
});

test("a request that is refused, or does not reach its provider, has no copy", async () => {
  const sent = count(SHADOWS);
  const unsent = dropped("not_sent");
  equal(await ask(requestBytes({ body: "{" })), 400);
  const providers = { main: providerConfig(9), shadow: providerConfig(shadow.port) };
  await configure({ config: { providers } });
  notEqual(await ask(), 200);
  await until("its copy is gone", () => dropped("not_sent") === unsent + 1 || undefined);
  equal(count(SHADOWS), sent);
  await nothingIsLeft();
});

test("a share of the requests has copies", async () => {
  await configure({ percent: 0 });
  const sent = count(SHADOWS);
  for (let i = 0; i < 10; i += 1) equal(await ask(), 200);
  equal(count(SHADOWS), sent);
});
