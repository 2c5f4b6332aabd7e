/** The relay's writes to the client: what came together leaves together, and what fits no write is not copied for it. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { describe, test } from "node:test";
import { CORK_BYTES_MAX } from "../../src/base/limits.ts";
import { ENDPOINT_CHAT } from "../../src/pipeline/endpoint.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { Relay, type RelayOwner } from "../../src/pipeline/relay.ts";
import { releaseScan } from "../../src/pipeline/settle.ts";
import { headOf, type ResponseHeaders } from "../../src/upstream/response-headers.ts";
import { exchangeOf, SeenDown } from "../support/exchange.ts";

const SSE: ResponseHeaders = { "content-type": "text/event-stream", "transfer-encoding": "chunked" };
const DELTA = 'data: {"choices":[{"delta":{"content":"a"}}]}\n\n';
const FINISH = 'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n';
const USAGE = 'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":9}}\n\n';
const DONE = "data: [DONE]\n\n";

/** Whether the record was there before the last write is asked of `settled`. */
class Owner implements RelayOwner {
  readonly tickMs = 1;

  settle(exchange: Exchange): void {
    exchange.settled = true;
  }

  releaseBody(): void {}
  mirror(): void {}

  goesOn(): boolean {
    return true;
  }

  onGap(): void {}
  refuse(): void {}
  breakOff(): void {}
  replay(): void {}
  fail(): void {}
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
}

/** What each write had, and what came with the end, for an answer that is read in these parts. */
function written(parts: readonly string[], headers = SSE, endsWithLast = true): { writes: string[]; last: string } {
  const down = new SeenDown();
  const exchange = exchangeOf({ down });
  exchange.endpoint = ENDPOINT_CHAT;
  exchange.usageAdded = true;
  const relay = new Relay(exchange, new Owner());
  relay.onHead(headOf(200, headers));
  const bytes = parts.map((part) => Buffer.from(part));
  for (const [index, chunk] of bytes.entries()) {
    const isLast = endsWithLast && index === bytes.length - 1;
    relay.onChunk(chunk, isLast);
    if (!isLast) chunk.fill("#");
  }
  relay.onEnd();
  releaseScan(exchange);
  strictEqual(down.ended, true);
  return { writes: down.written.map((part) => part.toString()), last: down.last };
}

describe("a stream", () => {
  test("events of one read leave in one write", () => {
    const { writes } = written([DELTA + DELTA + DELTA, FINISH + DONE]);
    deepStrictEqual(writes, [DELTA + DELTA + DELTA, FINISH + DONE]);
  });

  test("an event that was split leaves with those that came with its end", () => {
    const { writes } = written([
      DELTA.slice(0, 9),
      DELTA.slice(9) + DELTA + DELTA.slice(0, 5),
      DELTA.slice(5),
      FINISH + DONE,
    ]);
    deepStrictEqual(writes, [DELTA + DELTA, DELTA, FINISH + DONE]);
  });

  test("what was around the usage event leaves in one write", () => {
    deepStrictEqual(written([DELTA, FINISH + USAGE + DONE]).writes, [DELTA, FINISH + DONE]);
    deepStrictEqual(written([DELTA, FINISH + USAGE.slice(0, 9), USAGE.slice(9) + DONE]).writes, [DELTA, FINISH, DONE]);
  });

  test("the last events leave with the end, where that came with them", () => {
    strictEqual(written([DELTA, FINISH + USAGE + DONE]).last, FINISH + DONE);
    strictEqual(written([DELTA + FINISH + DONE]).last, DELTA + FINISH + DONE);
    strictEqual(written([DELTA, FINISH + USAGE + DONE], SSE, false).last, "");
  });

  test("what is too large for one write leaves in several, uncut", () => {
    const large = DELTA.replace("a", "a".repeat(CORK_BYTES_MAX));
    const { writes } = written([large.slice(0, 20), large.slice(20), FINISH + DONE]);
    deepStrictEqual(writes, [large.slice(0, 20), large.slice(20), FINISH + DONE]);
  });
});

describe("another answer", () => {
  test("a chunked one leaves with its end, one of known length at once", () => {
    const json = { "content-type": "application/json", "transfer-encoding": "chunked" };
    deepStrictEqual(written(['{"a":1}'], json), { writes: ['{"a":1}'], last: '{"a":1}' });
    const known = { "content-type": "application/json", "content-length": "7" };
    deepStrictEqual(written(['{"a":1}'], known), { writes: ['{"a":1}'], last: "" });
  });

  test("a held error leaves with the end", () => {
    const json = { "content-type": "application/json", "transfer-encoding": "chunked" };
    strictEqual(written(['{"a":', "1}"], json).last, "1}");
  });
});
