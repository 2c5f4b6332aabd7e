/** The request body: every byte in order, however it is cut, counted while it is held and not a moment longer. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { UPLOAD_BYTES_MIN } from "../../src/base/limits.ts";
import { RawClient } from "../support/raw-client.ts";
import { chunkedRequest, requestBytes } from "../support/raw-request.ts";
import { RequestPath, ScriptedProvider } from "../support/request-path.ts";
import { until } from "../support/until.ts";

const LIMIT = 1_048_576;
const ANSWER = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";

/** What the provider got as the body of its last request, once that is whole. */
let seen = "";

const provider = await ScriptedProvider.start((socket, received) => {
  const headEnd = received.indexOf("\r\n\r\n") + 4;
  const length = Number(/content-length: (\d+)/.exec(received.toString("latin1", 0, headEnd))?.[1] ?? 0);
  if (received.length < headEnd + length) return;
  seen = received.toString("utf8", headEnd);
  socket.end(ANSWER);
});
const path = await RequestPath.start(provider);
after(() => {
  path.stop();
  provider.stop();
});

function bodyOf(bytes: number): Buffer {
  const empty = '{"model":"other","text":""}';
  const text = Array.from({ length: bytes - empty.length }, (_, at) => String.fromCharCode(97 + (at % 26))).join("");
  return Buffer.from(`{"model":"other","text":"${text}"}`);
}

async function statusOf(request: Buffer): Promise<number> {
  seen = "";
  const client = await RawClient.connect(path.port);
  const { status } = await client.ask(request);
  client.leave();
  await until("nothing is in flight", () => path.pipeline.inFlight === 0);
  return status;
}

for (const bytes of [27, 511, 512, 513, 16_384, 100_000, LIMIT]) {
  test(`a body of ${bytes} bytes, with its length and in chunks`, async () => {
    const body = bodyOf(bytes);
    strictEqual(await statusOf(requestBytes({ body })), 200);
    // Behind a large one is the room that was kept for an option.
    strictEqual(bytes < UPLOAD_BYTES_MIN ? seen : seen.trimEnd(), body.toString());
    for (const chunkBytes of [7_000, 65_536]) {
      strictEqual(await statusOf(chunkedRequest(body, chunkBytes)), 200);
      strictEqual(seen, body.toString());
    }
  });
}

test("a large body whose head comes alone, and whose bytes come later", async () => {
  const body = bodyOf(LIMIT);
  const whole = requestBytes({ body });
  const client = await RawClient.connect(path.port);
  await client.send(whole.subarray(0, whole.length - body.length));
  await until("the head is here", () => path.pipeline.inFlight === 1);
  strictEqual((await client.ask(body)).status, 200);
  strictEqual(seen.trimEnd(), body.toString());
  client.leave();
});

test("chunks of one byte", async () => {
  const body = bodyOf(300);
  deepStrictEqual([await statusOf(chunkedRequest(body, 1)), seen], [200, body.toString()]);
});

test("a byte over the limit is refused, with its length and in chunks", async () => {
  const body = bodyOf(LIMIT + 1);
  deepStrictEqual([await statusOf(requestBytes({ body })), seen], [413, ""]);
  deepStrictEqual([await statusOf(chunkedRequest(body, 50_000)), seen], [413, ""]);
});

test("a body without bytes, in chunks, is an empty one", async () => {
  strictEqual(await statusOf(chunkedRequest(Buffer.alloc(0), 1)), 400);
});

test("bodies over what one worker holds wait for nothing: 503, and the place is free again after them", async () => {
  const small = await RequestPath.start(provider, {
    bounds: {
      bodyBytes: LIMIT,
      bodyBytesInFlight: 1_000,
      jsonDepth: 64,
      connectionsPerProvider: 8,
      queuePerProvider: 8,
    },
  });
  after(() => small.stop());
  const holder = await RawClient.connect(small.port);
  const whole = requestBytes({ body: bodyOf(800) });
  await holder.send(whole.subarray(0, -1));
  await until("the first holds its place", () => small.pipeline.inFlight === 1);
  const second = await RawClient.connect(small.port);
  strictEqual((await second.ask(requestBytes({ body: bodyOf(300) }))).status, 503);
  strictEqual((await holder.ask(whole.subarray(-1))).status, 200);
  strictEqual((await second.ask(requestBytes({ body: bodyOf(900) }))).status, 200);
  holder.leave();
  second.leave();
});
