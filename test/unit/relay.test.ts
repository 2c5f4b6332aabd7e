/** The relay of an answer: what reaches the client for every way in which it can be cut into chunks, and can end. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { after, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import { HELD_EVENT_BYTES_MAX, STALE_MS_MAX, UPSTREAM_ERROR_BYTES_MAX } from "../../src/base/limits.ts";
import { ENDPOINT_CHAT } from "../../src/pipeline/endpoint.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { Relay, type RelayOwner } from "../../src/pipeline/relay.ts";
import { releaseScan } from "../../src/pipeline/settle.ts";
import { readUsage, scansOpen, usage } from "../../src/providers/response-scan.ts";
import { headOf, type ResponseHeaders } from "../../src/upstream/response-headers.ts";
import { CREDENTIAL } from "../support/config.ts";
import { exchangeOf, SeenDown } from "../support/exchange.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import type { RawResponse } from "../support/raw-response.ts";
import { RequestPath, ScriptedProvider } from "../support/request-path.ts";
import { until } from "../support/until.ts";

const SSE: ResponseHeaders = { "content-type": "text/event-stream", "transfer-encoding": "chunked" };
const DELTA = 'data: {"choices":[{"delta":{"content":"a"}}]}';
const FINISH = 'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}';
const USAGE = 'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":9}}';
const DONE = "data: [DONE]";

/** Writes down what the relay asks for. */
class SeenOwner implements RelayOwner {
  tickMs = 1;
  readonly calls: string[] = [];
  readonly gaps: number[] = [];

  releaseBody(): void {
    this.calls.push("releaseBody");
  }

  settle(exchange: Exchange): void {
    if (!exchange.settled) this.calls.push("settle");
    exchange.settled = true;
  }

  refuse(_exchange: Exchange, error: ErrorRow): void {
    this.calls.push(`refuse ${error.code}`);
  }

  breakOff(_exchange: Exchange, error: ErrorRow): void {
    this.calls.push(`breakOff ${error.code}`);
  }

  mirror(): void {}

  goesOn(): boolean {
    return true;
  }

  onGap(_exchange: Exchange, gapMs: number): void {
    this.gaps.push(gapMs);
  }

  fail(exchange: Exchange, error: ErrorRow): void {
    this.refuse(exchange, error);
  }

  answers(): void {}

  passesOver(): boolean {
    return false;
  }

  passesOverText(): boolean {
    return false;
  }

  passesOverEvents(): boolean {
    return false;
  }

  replay(exchange: Exchange): void {
    exchange.replayed = true;
    this.calls.push("replay");
  }
}

interface Staged {
  readonly exchange: Exchange;
  readonly down: SeenDown;
  readonly owner: SeenOwner;
  readonly relay: Relay;
}

function stage(usageAdded = true): Staged {
  const down = new SeenDown();
  const exchange = exchangeOf({ down });
  exchange.endpoint = ENDPOINT_CHAT;
  exchange.usageAdded = usageAdded;
  const owner = new SeenOwner();
  return { exchange, down, owner, relay: new Relay(exchange, owner) };
}

/** A chunk is the relay's during the call only: behind it, its bytes are others. */
function pass(relay: Relay, bytes: Uint8Array): void {
  const chunk = Buffer.from(bytes);
  relay.onChunk(chunk, false);
  chunk.fill("#");
}

/** Relays a whole answer in chunks that end at the given offsets. */
function relayed(bytes: Buffer, cuts: readonly number[], usageAdded = true, headers = SSE): Staged {
  const staged = stage(usageAdded);
  staged.relay.onHead(headOf(200, headers));
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    pass(staged.relay, bytes.subarray(from, cut));
    from = cut;
  }
  staged.relay.onEnd();
  if (staged.exchange.scan >= 0) readUsage(staged.exchange.scan);
  releaseScan(staged.exchange);
  return staged;
}

/** The events by their lines. A line break too many between two means nothing (WHATWG HTML 9.2.6). */
function eventsIn(text: string): string[] {
  const lines = text.replace(/\r\n?/g, "\n");
  return lines.split(/\n{2,}/).filter((event) => event !== "");
}

for (const [name, end] of Object.entries({ LF: "\n", CRLF: "\r\n", CR: "\r" })) {
  describe(`an event stream with ${name}, cut in two at every byte`, () => {
    const events = [DELTA, `: comment${end}id: 1${end}${DELTA}`, FINISH, USAGE, DONE];
    const whole = Buffer.from(events.map((event) => event + end + end).join(""));

    test("the usage event that we asked for is left out, all else arrives, and usage is read", () => {
      const expected = whole.toString().replace(USAGE + end + end, "");
      for (let cut = 0; cut <= whole.length; cut += 1) {
        const { down, owner } = relayed(whole, [cut]);
        strictEqual(down.text, expected, `cut at ${cut}`);
        deepStrictEqual([usage.inputTokens, usage.outputTokens], [7, 9]);
        deepStrictEqual([owner.calls, down.ended], [["releaseBody", "settle"], true]);
      }
    });

    test("the usage event that the client asked for arrives, byte for byte", () => {
      for (let cut = 0; cut <= whole.length; cut += 1)
        strictEqual(relayed(whole, [cut], false).down.text, whole.toString());
    });

    test("chunks of one byte", () => {
      const cuts = Array.from({ length: whole.length }, (_, at) => at);
      strictEqual(relayed(whole, cuts).down.text, whole.toString().replace(USAGE + end + end, ""));
      strictEqual(relayed(whole, cuts, false).down.text, whole.toString());
    });
  });
}

test("after every chunk the client has whole events only", () => {
  const whole = Buffer.from([DELTA, DELTA, FINISH, DONE].map((event) => `${event}\n\n`).join(""));
  const { down, relay, exchange } = stage();
  relay.onHead(headOf(200, SSE));
  for (let at = 0; at < whole.length; at += 1) {
    pass(relay, whole.subarray(at, at + 1));
    match(down.text, /^$|\n\n$/, `after ${at} bytes`);
  }
  strictEqual(down.text, whole.toString());
  releaseScan(exchange);
});

test("an event too large to be held goes on in pieces, and only it", () => {
  const large = `data: {"choices":[{"delta":{"content":"${"x".repeat(3 * HELD_EVENT_BYTES_MAX)}"}}]}`;
  const whole = Buffer.from([DELTA, large, USAGE, DONE].map((event) => `${event}\n\n`).join(""));
  const cuts = Array.from({ length: 40 }, (_, i) => (i + 1) * 5_000);
  deepStrictEqual(eventsIn(relayed(whole, cuts).down.text), [DELTA, large, DONE]);
});

test("an event without its empty line at the end of a complete stream is delivered", () => {
  strictEqual(relayed(Buffer.from(`${FINISH}\n\n${DONE}`), []).down.text, `${FINISH}\n\n${DONE}`);
});

test("an answer with a length is settled before its last byte is handed over", () => {
  const { exchange, down, owner, relay } = stage();
  relay.onHead(headOf(200, { "content-type": "application/json", "content-length": "2" }));
  down.write = () => owner.calls.push(`write, settled: ${exchange.settled}`);
  relay.onChunk(Buffer.from("{"), false);
  relay.onChunk(Buffer.from("}"), false);
  releaseScan(exchange);
  deepStrictEqual(owner.calls, ["releaseBody", "write, settled: false", "settle", "write, settled: true"]);
});

/** Bytes that were written when it was settled, and those that the settled exchange says; for every split in two. */
function settledAt(text: string, at: number, usageAdded: boolean): { written: number; said: number; calls: string[] } {
  const { exchange, down, owner, relay } = stage(usageAdded);
  let settled = { written: -1, said: -1 };
  owner.settle = () => {
    if (!exchange.settled) settled = { written: down.text.length, said: exchange.responseBytes };
    exchange.settled = true;
  };
  relay.onHead(headOf(200, SSE));
  for (const part of [text.slice(0, at), text.slice(at)]) pass(relay, Buffer.from(part));
  const written = down.text.length;
  relay.onFail(ERRORS.upstreamReset, false);
  releaseScan(exchange);
  deepStrictEqual([settled.said, exchange.responseBytes], [written, written], `split at ${at}`);
  return { ...settled, calls: owner.calls };
}

test("a stream is settled before its terminal event goes out, and what breaks behind it is nothing", () => {
  for (const usageAdded of [false, true]) {
    const text = `${DELTA}\n\n${FINISH}\n\n${USAGE}\n\n${DONE}\n\n`;
    const whole = usageAdded ? text.replace(`${USAGE}\n\n`, "") : text;
    for (let at = 1; at < text.length; at += 1) {
      const { written, calls } = settledAt(text, at, usageAdded);
      strictEqual(written <= whole.length - `${DONE}\n\n`.length, true);
      deepStrictEqual(calls, ["releaseBody"]);
    }
  }
});

const CUT_CASES: [string, ResponseHeaders, string, boolean][] = [
  ["a chat stream without an end", SSE, `${DELTA}\n\n`, true],
  ["a chat stream with a finish_reason", SSE, `${FINISH}\n\n`, false],
  ["a chat stream with [DONE]", SSE, `${DONE}\n\n`, false],
  ["a chat stream with an error", SSE, 'data: {"error":{"message":"x"}}\n\n', false],
  ["JSON with an end that the framing tells", { ...SSE, "content-type": "application/json" }, '{"a":', false],
  ["close-delimited JSON, whole", { "content-type": "application/json" }, '{"a":1}', false],
  ["close-delimited JSON, cut", { "content-type": "application/json" }, '{"a":', true],
  ["close-delimited bytes", { "content-type": "audio/mpeg" }, "x", false],
];

for (const [what, headers, text, cut] of CUT_CASES) {
  test(`${what} is ${cut ? "taken for cut" : "complete"}`, () => {
    const { owner } = relayed(Buffer.from(text), [], true, headers);
    deepStrictEqual(owner.calls.slice(1), [cut ? "breakOff upstream_cut" : "settle"]);
  });
}

const FAILURES: [string, (staged: Staged) => void, boolean, string][] = [
  ["before the head, on a stale connection", () => undefined, true, "replay"],
  ["before the head", () => undefined, false, "refuse upstream_reset"],
  [
    "a second time on a stale connection",
    ({ relay }) => relay.onFail(ERRORS.upstreamReset, true),
    true,
    "refuse upstream_reset",
  ],
  ["when the provider may have worked on it", sentLongAgo, true, "refuse upstream_reset"],
  ["after the head", ({ relay }) => relay.onHead(headOf(200, {})), false, "breakOff upstream_reset"],
  ["behind the head of an error", ({ relay, exchange }) => errorHead(relay, exchange), false, "refuse upstream_reset"],
];

function sentLongAgo({ relay, owner }: Staged): void {
  relay.onSent();
  owner.tickMs += STALE_MS_MAX + 1;
}

function errorHead(relay: Relay, exchange: Exchange): void {
  exchange.target = exchange.snapshot.passthrough;
  relay.onHead(headOf(500, {}));
}

for (const [when, prepare, replayable, expected] of FAILURES) {
  test(`a failure ${when}: ${expected}`, () => {
    const staged = stage();
    prepare(staged);
    staged.relay.onFail(ERRORS.upstreamReset, replayable);
    strictEqual(staged.owner.calls.at(-1), expected);
  });
}

test("no scanner is left open by these tests", () => strictEqual(scansOpen(), 0));

describe("through the edge", async () => {
  const provider = await ScriptedProvider.start(() => undefined);
  const path = await RequestPath.start(provider);
  after(() => {
    path.stop();
    provider.stop();
  });

  async function answerTo(method: string, bytes: Buffer | string): Promise<RawResponse> {
    provider.script = (socket) => socket.end(bytes);
    const client = await RawClient.connect(path.port);
    const body = method === "POST" ? '{"model":"other","stream":true}' : "";
    const target = method === "POST" ? "/v1/chat/completions" : "/v1/responses/resp_1";
    const response = await client.ask(requestBytes({ method, target, body }));
    client.leave();
    await until("nothing is in flight", () => path.pipeline.inFlight === 0);
    strictEqual(scansOpen(), 0);
    return response;
  }

  function cutStream(body: Buffer | string, headers = ""): Buffer {
    const head = `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n${headers}transfer-encoding: chunked\r\n\r\n`;
    return Buffer.concat([
      Buffer.from(`${head}${body.length.toString(16)}\r\n`),
      Buffer.from(body),
      Buffer.from("\r\n"),
    ]);
  }

  test("a stream that breaks within an event ends with an error event of its own", async () => {
    for (const method of ["POST", "GET"]) {
      const { body, complete } = await answerTo(method, cutStream(`${DELTA}\n\ndata: {"cho`));
      const last = eventsIn(body.toString()).at(-1) ?? "";
      match(last, /^data: \{"error":\{.*"code":"upstream_cut"\}\}$/, method);
      strictEqual(complete, true);
    }
  });

  test("no text is put behind a compressed stream that breaks", async () => {
    const zipped = gzipSync(`${DELTA}\n\n`);
    const { body, complete } = await answerTo("GET", cutStream(zipped, "content-encoding: gzip\r\n"));
    deepStrictEqual([complete, body.equals(zipped)], [false, true]);
  });

  function errorAnswer(body: string): string {
    return `HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  }

  test("an error that quotes the credential is replaced", async () => {
    const { status, body } = await answerTo("POST", errorAnswer(`{"error":"bad key ${CREDENTIAL}"}`));
    deepStrictEqual([status, body.includes(CREDENTIAL)], [502, false]);
  });

  test("an error that quotes it after more than is held is cut", async () => {
    const { complete, body } = await answerTo(
      "POST",
      errorAnswer(`${" ".repeat(UPSTREAM_ERROR_BYTES_MAX * 3)}${CREDENTIAL}`),
    );
    deepStrictEqual([complete, body.includes(CREDENTIAL)], [false, false]);
  });

  test("other errors pass as they are", async () => {
    for (const text of ["", "{}", `{"error":"${"x".repeat(UPSTREAM_ERROR_BYTES_MAX * 3)}"}`]) {
      const { status, body, complete } = await answerTo("POST", errorAnswer(text));
      deepStrictEqual([status, complete, body.toString() === text], [400, true, true]);
    }
  });
});

const GAPS: [string, readonly string[], number][] = [
  ["three events in three reads", [`${DELTA}\n\n`, `${DELTA}\n\n`, `${DONE}\n\n`], 2],
  ["three events in one read", [`${DELTA}\n\n${DELTA}\n\n${DONE}\n\n`], 0],
  ["an event in two reads", [DELTA, `\n\n${DELTA}`, `\n\n${DONE}\n\n`], 1],
  ["a usage event that is left out", [`${DELTA}\n\n`, `${USAGE}\n\n`, `${DONE}\n\n`], 1],
  ["a usage event that is left out, between others", [`${DELTA}\n\n`, `${DELTA}\n\n${USAGE}\n\n${DONE}\n\n`], 1],
];

for (const [what, chunks, gaps] of GAPS) {
  test(`gaps between reads that brought events: ${what}`, () => {
    const cuts = chunks.map((_, i) => chunks.slice(0, i + 1).join("").length).slice(0, -1);
    const { owner } = relayed(Buffer.from(chunks.join("")), cuts);
    strictEqual(owner.gaps.length, gaps);
    strictEqual(
      owner.gaps.every((gapMs) => gapMs >= 0),
      true,
    );
  });
}

test("an answer that is no stream has no gaps", () => {
  const json = Buffer.from('{"choices":[]}');
  strictEqual(relayed(json, [3, 6], true, { "content-type": "application/json" }).owner.gaps.length, 0);
});
