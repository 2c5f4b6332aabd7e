/** Answers that begin and break off before the client has any of them: another try takes their place. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import type { Socket } from "node:net";
import { after, beforeEach, test } from "node:test";
import type { ModelConfig } from "../../src/config/model.ts";
import { scansOpen } from "../../src/providers/response-scan.ts";
import { BREAKER_AT } from "../../src/shm/breakers.ts";
import { KIND_REQUEST, KIND_TRY, USAGE_ESTIMATED, USAGE_NONE } from "../../src/telemetry/record.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { RequestPath, ScriptedProvider } from "../support/request-path.ts";
import { until } from "../support/until.ts";

const WHOLE = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
const HEAD = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n";
const STREAM = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const HALF = '12\r\ndata: {"choices":[\r\n';

/** How it breaks off. */
const BREAKS: Readonly<Record<string, (socket: Socket) => void>> = {
  "a head": (socket) => socket.write(HEAD, () => socket.resetAndDestroy()),
  "the head of a stream": (socket) => socket.write(STREAM, () => socket.resetAndDestroy()),
  "half an event": (socket) => socket.write(STREAM + HALF, () => socket.resetAndDestroy()),
  "a stream without events": (socket) => socket.write(`${STREAM}0\r\n\r\n`),
  "a head and silence": (socket) => socket.write(HEAD),
};

/** The body of each request, in order. */
const seen: string[] = [];
let breaks = (socket: Socket): void => void socket.write(WHOLE);
const provider = await ScriptedProvider.start((socket, received) => {
  const text = received.toString("latin1");
  const [head = "", body = ""] = text.slice(text.lastIndexOf("POST ")).split("\r\n\r\n");
  if (body.length < Number(/content-length: (\d+)/.exec(head)?.[1])) return;
  seen.push(body);
  if (body.includes('"model":"a"')) breaks(socket);
  else if (body.includes('"model":"c"')) socket.resetAndDestroy();
  else socket.write(WHOLE);
});

const to = (...models: string[]) => models.map((model) => ({ provider: "main", model, weight: 1, priority: 0 }));
const modelWith = (targets: string[], attempts: number): ModelConfig => ({
  ...{ targets: to(...targets), strategy: "priority", attempts, retries: true },
});
const models = {
  several: modelWith(["a", "b"], 2),
  again: modelWith(["a"], 2),
  none: modelWith(["a"], 1),
  last: modelWith(["c", "a"], 2),
};
const timeouts = { connectMs: 2_000, firstByteMs: 5_000, idleMs: 300, totalMs: 1e9, queueMs: 2_000 };
let path: RequestPath;
let client: RawClient;

async function begin(pauseMs: number): Promise<void> {
  path?.stop();
  client?.leave();
  seen.length = 0;
  path = await RequestPath.start(provider, {
    models,
    timeouts: { ...timeouts, stallMs: 5_000, drainMs: 2_000, upstreamKeepAliveMs: 10_000 },
    retries: { failures: 0b1111111, pauseMs, pauseMaxMs: 1e9, budgetPercent: 20, budgetMin: 10 },
  });
  client = await RawClient.connect(path.port);
}

beforeEach(() => begin(1));
after(() => {
  path.stop();
  client.leave();
  provider.stop();
});

const bodyOf = (model: string) => `{"model":"${model}","messages":[{"role":"user","content":"Say it."}]}`;
/** Tries and failures, of the target at `place`. */
function countsOf(model: string, place: number): (number | undefined)[] {
  const slot = path.pipeline.snapshot.routes.get(model)?.choices[place]?.state.breaker;
  return [slot?.[BREAKER_AT.tries], slot?.[BREAKER_AT.failures]];
}

const ask = (model: string) => client.ask(requestBytes({ body: bodyOf(model) }));

for (const [name, how] of Object.entries(BREAKS)) {
  test(`after ${name} the next target answers, and what the first one may bill is booked`, async () => {
    breaks = how;
    const answer = await ask("several");
    deepStrictEqual([answer.status, answer.body.toString()], [200, "{}"]);
    deepStrictEqual(seen, [bodyOf("a"), bodyOf("b")]);
    const [first, second] = path.records();
    deepStrictEqual([first?.kind, first?.upstreamModel, first?.usageSource], [KIND_TRY, "a", USAGE_ESTIMATED]);
    deepStrictEqual([second?.kind, second?.upstreamModel, second?.attempts], [KIND_REQUEST, "b", 2]);
    match(second?.decision ?? "", /tries=main\/a:(reset|timeout)/);
    deepStrictEqual(countsOf("several", 0), [1, 1], "its breaker knows");
    await until("nothing is held", () => path.pipeline.inFlight === 0 && path.pipeline.bodyBytesInFlight === 0);
    strictEqual(scansOpen(), 0);
  });
}

const DONE = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";
const GOOD: Readonly<Record<string, (socket: Socket) => void>> = {
  "a body": (socket) => socket.write(WHOLE),
  "no body": (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
  "a stream in one piece": (socket) => socket.write(STREAM + DONE),
  "a stream in two": (socket) => socket.write(STREAM + DONE.slice(0, 9), () => socket.write(DONE.slice(9))),
};

for (const [name, how] of Object.entries(GOOD)) {
  test(`a good answer with ${name} is one try for its breaker`, async () => {
    breaks = how;
    strictEqual((await ask("several")).status, 200);
    deepStrictEqual(countsOf("several", 0), [1, 0]);
  });
}

for (const status of ["400 Bad", "500 No"]) {
  test(`an answer with ${status} that breaks off is one try for its breaker, and one failure`, async () => {
    breaks = (socket) => socket.write(HEAD.replace("200 OK", status), () => socket.resetAndDestroy());
    await ask("last");
    deepStrictEqual(seen, [bodyOf("c"), bodyOf("a")]);
    deepStrictEqual(countsOf("last", 1), [1, 1]);
  });
}

const event = (data: object | string) => `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;
const chunked = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
/** A stream that consists of these events, in one write or several. */
const streamOf = (socket: Socket, ...parts: string[]) =>
  socket.write(`${STREAM}${parts.map(chunked).join("")}0\r\n\r\n`);
const ROLE = event({ choices: [{ index: 0, delta: { role: "assistant", content: "" } }] });
const ERROR = { message: "The server is overloaded.", type: "server_error", param: null, code: null };

/** What a stream begins with, and which failure that is. */
const ERROR_EVENTS: Readonly<Record<string, readonly [failure: string, ...parts: string[]]>> = {
  "OpenAI's": ["server_error", event({ error: ERROR }), event("[DONE]")],
  "one in two pieces": ["server_error", 'data: {"error":{"mess', 'age":"x"}}\n\n'],
  "one with a status": ["rate_limit", event({ error: { ...ERROR, code: 429 } })],
  "one with a name": ["rate_limit", event({ error: { ...ERROR, type: "tokens", code: "rate_limit_exceeded" } })],
  "one behind an event without text, with which it came": ["server_error", ROLE + event({ error: ERROR })],
  "that of Responses": [
    "server_error",
    `event: error\n${event({ type: "error", code: "server_error", message: "x" })}`,
  ],
};

for (const [name, [failure, ...parts]] of Object.entries(ERROR_EVENTS)) {
  test(`after a stream that begins with an error, ${name}, the next target answers`, async () => {
    breaks = (socket) => streamOf(socket, ...parts);
    const answer = await ask("several");
    deepStrictEqual([answer.status, answer.body.toString()], [200, "{}"]);
    deepStrictEqual(seen, [bodyOf("a"), bodyOf("b")]);
    const [first, second] = path.records();
    deepStrictEqual([first?.kind, second?.kind, second?.attempts], [KIND_TRY, KIND_REQUEST, 2]);
    match(second?.decision ?? "", new RegExp(`tries=main/a:${failure}`));
    deepStrictEqual(countsOf("several", 0), [1, 1]);
    await until("nothing is held", () => path.pipeline.inFlight === 0 && path.pipeline.bodyBytesInFlight === 0);
    strictEqual(scansOpen(), 0);
  });
}

/** Streams that are the client's, as they are. */
const CLIENTS: Readonly<Record<string, readonly string[]>> = {
  "an error behind some text": [ROLE + event({ choices: [{ delta: { content: "x" } }] }) + event({ error: ERROR })],
  "an error of the request": [event({ error: { ...ERROR, type: "invalid_request_error", code: "invalid_value" } })],
  "an error with the status 400": [event({ error: { ...ERROR, code: 400 } })],
  "refused content, of which no list wants to know": [event({ error: { ...ERROR, code: "content_filter" } })],
  "no text at all": [event("[DONE]")],
};

for (const [name, parts] of Object.entries(CLIENTS)) {
  test(`a stream with ${name} is the client's`, async () => {
    breaks = (socket) => streamOf(socket, ...parts);
    const answer = await ask("several");
    deepStrictEqual([answer.status, answer.body.toString(), seen.length], [200, parts.join(""), 1]);
    await until("nothing is held", () => path.pipeline.inFlight === 0 && path.pipeline.bodyBytesInFlight === 0);
    strictEqual(scansOpen(), 0);
  });
}

test("a stream that begins with an error is the client's where nothing is left to try", async () => {
  breaks = (socket) => streamOf(socket, event({ error: ERROR }));
  deepStrictEqual([(await ask("none")).body.toString(), seen.length], [event({ error: ERROR }), 1]);
  deepStrictEqual([(await ask("again")).body.toString(), seen.length], [event({ error: ERROR }), 3]);
});

test("the same of a model with one place, after a pause; where nothing is left the client has an error", async () => {
  let count = 0;
  breaks = (socket) => {
    count += 1;
    if (count === 1) socket.write(STREAM + HALF, () => socket.resetAndDestroy());
    else socket.write(WHOLE);
  };
  strictEqual((await ask("again")).status, 200);
  strictEqual(seen.length, 2);
  count = 0;
  const { status, body } = await ask("none");
  deepStrictEqual([status, JSON.parse(body.toString()).error.code], [502, "upstream_cut"]);
});

test("a client that leaves in the pause before the next try has one record, and nothing is billed twice", async () => {
  breaks = (socket) => socket.write(STREAM + HALF, () => socket.resetAndDestroy());
  await begin(1e9);
  client.send(requestBytes({ body: bodyOf("again") }));
  await until("the try is booked", () => path.records().length === 1);
  client.leave();
  await until("it is over", () => path.pipeline.inFlight === 0 && path.records().length === 2);
  deepStrictEqual(
    path.records().map(({ kind, status, usageSource }) => [kind, status, usageSource]),
    [
      [KIND_TRY, 0, USAGE_ESTIMATED],
      [KIND_REQUEST, 499, USAGE_NONE],
    ],
  );
  strictEqual(scansOpen(), 0);
});
