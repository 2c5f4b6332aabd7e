/** A stream that its limits do not let go on, wherever reads end in it: whole events, a clean end, one settlement, and nothing behind it. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { ENDPOINT_CHAT } from "../../src/pipeline/endpoint.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { Relay, type RelayOwner } from "../../src/pipeline/relay.ts";
import { releaseScan } from "../../src/pipeline/settle.ts";
import { headOf, type ResponseHeaders } from "../../src/upstream/response-headers.ts";
import type { Attempt } from "../../src/upstream/transport.ts";
import { exchangeOf, SeenDown, snapshotOf } from "../support/exchange.ts";

const SSE: ResponseHeaders = { "content-type": "text/event-stream", "transfer-encoding": "chunked" };
const DELTA = 'data: {"id":"a","choices":[{"delta":{"content":"word"}}]}\n\n';
const WHOLE = Buffer.from(DELTA.repeat(6));
const ALLOWED = 3;

/** Lets nothing go on beyond what is allowed. */
class Owner implements RelayOwner {
  readonly tickMs = 1;
  settlements = 0;
  asked = 0;
  answered = 0;

  settle(exchange: Exchange): void {
    if (!exchange.settled) this.settlements += 1;
    exchange.settled = true;
  }

  goesOn(): boolean {
    this.asked += 1;
    return false;
  }

  releaseBody(): void {}
  mirror(): void {}
  onGap(): void {}
  refuse(): void {}
  breakOff(): void {}
  replay(): void {}
  fail(): void {}

  answers(): void {
    this.answered += 1;
  }

  passesOver(): boolean {
    return false;
  }
  passesOverText(): boolean {
    return false;
  }

  passesOverEvents(): boolean {
    return false;
  }
}

function cutStream(reads: readonly Buffer[], changes: Partial<Exchange> = {}, down = new SeenDown()) {
  let cancels = 0;
  const attempt: Attempt = {
    release: () => undefined,
    pause: () => undefined,
    resume: () => undefined,
    cancel: () => {
      cancels += 1;
    },
  };
  const exchange = Object.assign(exchangeOf({ down }), { endpoint: ENDPOINT_CHAT, attempt, ...changes });
  exchange.deltasAllowed = ALLOWED;
  const owner = new Owner();
  const relay = new Relay(exchange, owner);
  relay.onHead(headOf(200, SSE));
  for (const bytes of reads) {
    // After a cancel the transport says nothing more.
    if (cancels > 0) break;
    const chunk = Buffer.from(bytes);
    relay.onChunk(chunk, false);
    chunk.fill("#");
  }
  releaseScan(exchange);
  return { exchange, down, owner, cancels };
}

function deltasIn(text: string): number {
  return text.split('"word"').length - 1;
}

test("cut in three reads at every byte, the client has whole events and a clean end", () => {
  for (let at = 1; at < WHOLE.length; at += 1) {
    const second = Math.min(WHOLE.length, at + DELTA.length);
    const reads = [WHOLE.subarray(0, at), WHOLE.subarray(at, second), WHOLE.subarray(second)];
    const { exchange, down, owner, cancels } = cutStream(reads);
    const [events, end] = down.text.split('data: {"id":"a","object"');
    strictEqual(events, DELTA.repeat(deltasIn(down.text)), `cut at ${at}`);
    ok(end?.endsWith('"finish_reason":"length"}]}\n\ndata: [DONE]\n\n'), `cut at ${at}`);
    // A piece of text counts with its first byte.
    ok(deltasIn(down.text) >= ALLOWED, `cut at ${at}`);
    deepStrictEqual([owner.settlements, owner.asked, cancels, down.ended], [1, 1, 1, true]);
    deepStrictEqual([exchange.error, exchange.responseBytes], [ERRORS.cutByLimit, Buffer.byteLength(down.text)]);
  }
});

test("a stream that is cut is one good answer of its target, also where it is cut at once", () => {
  const targets = [{ provider: "main", model: "a", weight: 1, priority: 0 }];
  const models = { m: { targets: [...targets, ...targets], strategy: "priority" as const, attempts: 2 } };
  const choice = snapshotOf({ models }).routes.get("m")?.choices[0];
  ok(choice !== undefined);
  for (const at of [1, DELTA.length, WHOLE.length]) {
    const { owner } = cutStream([WHOLE.subarray(0, at), WHOLE.subarray(at)], { choice });
    strictEqual(owner.answered, 1, `cut at ${at}`);
  }
});

test("a read that ends the stream is not cut, whatever is in it", () => {
  const finish = 'data: {"id":"a","choices":[{"delta":{},"finish_reason":"stop"}]}\n\n';
  const { exchange, down, owner } = cutStream([Buffer.concat([WHOLE, Buffer.from(finish)])]);
  deepStrictEqual([owner.asked, exchange.error, down.text], [0, null, WHOLE.toString() + finish]);
});

test("of several answers in one stream an end of one is not the end", () => {
  const finish = 'data: {"id":"a","choices":[{"delta":{},"finish_reason":"stop"}]}\n\n';
  const { exchange, owner } = cutStream([Buffer.concat([WHOLE, Buffer.from(finish)])], { answers: 2 });
  deepStrictEqual([owner.asked, exchange.error], [1, ERRORS.cutByLimit]);
});

test("a client that is gone is written nothing, and the stream is nobody's", () => {
  const down = new SeenDown();
  down.closed = true;
  const { owner } = cutStream([WHOLE], {}, down);
  deepStrictEqual([owner.asked, down.text], [1, ""]);
});
