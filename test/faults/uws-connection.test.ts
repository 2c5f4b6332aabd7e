/** Rules and documented limits of uWebSockets.js over the life of a connection, one test for each. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { download } from "../support/download.ts";
import { bigBytes, sha256Of } from "../support/mock/big-body.ts";
import { RawClient } from "../support/raw-client.ts";
import { CHAT_BODY, chunkedRequest, requestBytes, STREAM_BODY } from "../support/raw-request.ts";
import { headerOf } from "../support/raw-response.ts";
import { startStage } from "../support/stage.ts";
import { until } from "../support/until.ts";

const { sluice, upstream } = await startStage(() => ({ limits: { body_bytes: "1MiB" } }));

test("a request that is pipelined while the first is pending closes the connection, and the first is aborted", async () => {
  const client = await RawClient.connect(sluice.port);
  await client.send(requestBytes({ headers: { "x-mock": "stall-before-head", "x-request-id": "pending" } }));
  await upstream.waitFor("the first is upstream", ({ requests }) => requests[0]?.state === "received");
  await client.send(requestBytes());
  strictEqual(await client.response(), null);
  await upstream.waitForAborts(1);
  strictEqual((await sluice.recordOf("pending")).error, "client_aborted");
  strictEqual((await upstream.journal()).requestsTotal, 1);
});

test("a half-closed client is taken as gone, and its provider is cancelled", async () => {
  const client = await RawClient.connect(sluice.port);
  await client.send(requestBytes({ headers: { "x-mock": "stall-before-head", "x-request-id": "half-closed" } }));
  await upstream.waitFor("it is upstream", ({ requests }) => requests[0]?.state === "received");
  client.socket.end();
  await upstream.waitForAborts(1);
  strictEqual((await sluice.recordOf("half-closed")).error, "client_aborted");
  client.leave();
});

/** The parser closes what is idle after 10 s: what is closed before, the gateway closed. */
const BEFORE_IDLE_MS = 6_000;

test("a chunked request closes its connection after the answer", async () => {
  const client = await RawClient.connect(sluice.port);
  const response = await client.ask(chunkedRequest(Buffer.from(CHAT_BODY), 10));
  deepStrictEqual([response.complete, response.status], [true, 200]);
  match(headerOf(response, "connection"), /\bclose\b/);
  await client.close(BEFORE_IDLE_MS);
});

test("after a streamed answer, too", async () => {
  const client = await RawClient.connect(sluice.port);
  const response = await client.ask(chunkedRequest(Buffer.from(STREAM_BODY), 10));
  deepStrictEqual([response.complete, response.status], [true, 200]);
  match(headerOf(response, "connection"), /\bclose\b/);
  await client.close(BEFORE_IDLE_MS);
});

test("chunks that go on after the answer are ignored", async () => {
  const client = await RawClient.connect(sluice.port);
  const whole = chunkedRequest(Buffer.alloc(3_000_000, 0x20), 50_000);
  for (let at = 0; at < whole.length; at += 100_000) await client.send(whole.subarray(at, at + 100_000));
  await client.close();
  const next = await RawClient.connect(sluice.port);
  strictEqual((await next.ask(requestBytes())).status, 200);
  next.leave();
});

/** A request with this many header lines. */
function withHeaders(count: number): Buffer {
  const more = Object.fromEntries(Array.from({ length: count - 4 }, (_, i) => [`x-${i}`, "1"]));
  return requestBytes({ headers: more });
}

test("98 headers pass, 101 are answered 431 by the parser", async () => {
  const fine = await RawClient.connect(sluice.port);
  strictEqual((await fine.ask(withHeaders(98))).status, 200);
  fine.leave();
  const many = await RawClient.connect(sluice.port);
  strictEqual((await many.ask(withHeaders(101))).status, 431);
  await many.close();
});

test("a header block over the parser's own limit is answered 431 and closed", async () => {
  const client = await RawClient.connect(sluice.port);
  strictEqual((await client.ask(requestBytes({ headers: { "x-large": "y".repeat(40_000) } }))).status, 431);
  await client.close();
});

test("a request line in two segments is served or answered 505, wherever it is split", async () => {
  const whole = requestBytes();
  const lineEnd = whole.indexOf("\r\n");
  for (let at = 1; at < lineEnd; at += 3) {
    const client = await RawClient.connect(sluice.port);
    await client.send(whole.subarray(0, at));
    const response = await client.ask(whole.subarray(at));
    strictEqual([200, 505].includes(response.status), true, `${at}: ${response.status}`);
    client.leave();
  }
});

for (const [megabytes, pace] of [
  [4, { everyBytes: 32_768, restMs: 1 }],
  [50, { everyBytes: 4_194_304, restMs: 50 }],
] as const) {
  test(`a reader that stops and goes on gets ${megabytes} MB in chunks once, and whole`, async () => {
    const form = { method: "GET", path: "/v1/files/f/content", fault: `big-body=${megabytes},one-piece,chunked` };
    const got = await download(sluice, form, pace);
    deepStrictEqual([got.complete, got.sha256], [true, sha256Of(bigBytes(megabytes))]);
  });
}

test("an idle connection is told its time, and closed by the parser", async () => {
  const client = await RawClient.connect(sluice.port);
  const response = await client.ask(requestBytes());
  strictEqual(headerOf(response, "keep-alive"), "timeout=8");
  await client.close();
});

test("a PROXY v2 header is not believed: the record has the peer's address", async () => {
  const signature = Buffer.from("0d0a0d0a000d0a515549540a", "hex");
  const addresses = Buffer.from([0x21, 0x11, 0, 12, 9, 9, 9, 9, 8, 8, 8, 8, 1, 1, 2, 2]);
  const client = await RawClient.connect(sluice.port);
  const request = requestBytes({ headers: { "x-request-id": "proxied" } });
  const response = await client.ask(Buffer.concat([signature, addresses, request]));
  strictEqual(response.status, 200);
  strictEqual((await sluice.recordOf("proxied")).client_address, "127.0.0.1");
  client.leave();
});

test("a stream whose head comes long before its first byte arrives whole; both leave together", async () => {
  const client = await RawClient.connect(sluice.port);
  await client.send(requestBytes({ body: STREAM_BODY, headers: { "x-mock": "early-head=uws-head" } }));
  await upstream.waitFor("the head was sent", ({ requests }) => requests[0]?.state === "received");
  await upstream.open("uws-head");
  const response = await client.response();
  deepStrictEqual([response?.status, response?.complete], [200, true]);
  strictEqual(response?.body.toString().endsWith("data: [DONE]\n\n"), true);
  client.leave();
});

/** Sends a piece at every look, 100 looks a second, until the connection is over. */
async function trickle(client: RawClient, piece: Buffer): Promise<void> {
  await until("the parser cuts it", async () => {
    if (client.ended || client.socket.destroyed) return true;
    await client.send(piece);
    return false;
  });
}

test("a body that arrives more slowly than 16 KB/s is cut, and reaches nobody", async () => {
  const client = await RawClient.connect(sluice.port);
  const before = (await upstream.journal()).requestsTotal;
  const whole = requestBytes({ headers: { "content-length": "900000" }, body: "" });
  await client.send(whole);
  await trickle(client, Buffer.alloc(20, 0x20));
  strictEqual((await upstream.journal()).requestsTotal, before);
});

test("a head that stops in the middle is cut", async () => {
  const client = await RawClient.connect(sluice.port);
  await client.send("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthoriz");
  strictEqual(await client.response(), null);
});

test("HTTP/2 without TLS is not spoken", async () => {
  const client = await RawClient.connect(sluice.port);
  await client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  strictEqual((await client.response())?.status, 505);
  await client.close();
});
