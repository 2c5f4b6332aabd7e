/** The load generator notices wrong answers, and counts each under its reason. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { crc32 } from "node:zlib";
import { chunked, events, type Heard, Liar, whole } from "./liar.ts";
import { buildPrograms, countFrom, load, request, type Summary, specification } from "./programs.ts";

before(buildPrograms);

const BODY = "sixteen letters.";
const RIGHT = crc32(BODY).toString(16).padStart(8, "0");
const WHOLE = { status: 200, kind: "whole", bytes: BODY.length, crc32: RIGHT };
const STREAM = { status: 200, kind: "stream", events: 3 };
const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/** Reason, what the server does, its answer, and what is expected. */
const LIES: readonly (readonly [string, string, string, object])[] = [
  ["status", "answers 500", whole(BODY, "500 Oops"), WHOLE],
  ["status", "answers 500 to a stream", whole("{}", "500 Oops"), STREAM],
  ["length", "leaves out a byte", whole(BODY.slice(1)), WHOLE],
  ["length", "sends a byte more", whole(`${BODY}!`), WHOLE],
  ["length", "sends bytes behind its answer", `${whole(BODY)}x`, WHOLE],
  ["length", "has two lengths", whole(BODY, "200 OK", "Content-Length: 15\r\n"), WHOLE],
  ["length", "has a length and chunks", whole(BODY, "200 OK", "Transfer-Encoding: chunked\r\n"), WHOLE],
  ["length", "has a length that is no number", "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n", WHOLE],
  ["length", "has a chunk without its line end", `${CHUNKED}3\r\nabcd\r\n0\r\n\r\n`, WHOLE],
  ["length", "has a chunk size that is no number", `${CHUNKED}zz\r\nab\r\n0\r\n\r\n`, WHOLE],
  ["length", "has an empty chunk size", `${CHUNKED}\r\nab\r\n0\r\n\r\n`, WHOLE],
  ["length", "speaks no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", WHOLE],
  ["length", "sends an event too few", chunked(...events(1)), STREAM],
  ["length", "sends an event too many", chunked(...events(3)), STREAM],
  ["checksum", "changes a byte", whole(BODY.replace("x", "y")), WHOLE],
  ["terminal", "has no [DONE]", chunked(...events(2).slice(0, 2)), STREAM],
  ["terminal", "has no [DONE], nobody counts events", chunked(...events(2).slice(0, 2)), { ...STREAM, events: null }],
  [
    "terminal",
    "does not end [DONE] with an empty line",
    chunked(...events(2)).replace("e\r\ndata: [DONE]\n\n", "d\r\ndata: [DONE]\n"),
    STREAM,
  ],
  ["terminal", "sends an event behind [DONE]", chunked(...events(2), "data: 1\n\n"), { ...STREAM, events: null }],
  ["terminal", "sends a comment behind [DONE]", chunked(...events(2), ": x\n\n"), STREAM],
  ["terminal", "has a longer last event", chunked("data: 1\n\n", "data: 2\n\n", "data: [DONE] \n\n"), STREAM],
];

for (const [reason, what, answer, expect] of LIES) {
  test(`a server that ${what}: ${reason}`, async () => {
    const summary = await against(({ socket }) => void socket.write(answer), expect);
    assertAll(summary, reason);
  });
}

/** Of a short run with a few connections. */
async function against(answer: (heard: Heard) => void, expect: object, overrides: object = {}): Promise<Summary> {
  const server = await Liar.start(answer);
  const spec = specification(server.port, { requests: [request({ expect })], durationMs: 100, ...overrides });
  const report = await load(spec);
  await server.stop();
  assert.equal(countFrom(report, "total"), report.summary.right, "only right answers have a latency");
  return report.summary;
}

function assertAll({ wrong, requests, right }: Summary, reason: string): void {
  assert.ok(requests > 0);
  assert.equal(right, 0);
  assert.deepEqual({ ...wrong, [reason]: 0 }, zeros());
  assert.equal(wrong[reason], requests);
}

function zeros(): Record<string, number> {
  return { status: 0, length: 0, checksum: 0, terminal: 0, reset: 0, timeout: 0, connect: 0 };
}

test("a server that resets in the middle of an answer: reset", async () => {
  const summary = await against(({ socket }) => {
    socket.write(whole(BODY).slice(0, -3), () => socket.resetAndDestroy());
  }, WHOLE);
  assertAll(summary, "reset");
});

test("a server that ends in the middle of an answer: reset", async () => {
  assertAll(await against(({ socket }) => void socket.end(whole(BODY).slice(0, -3)), WHOLE), "reset");
});

test("a server that ends in the middle of a chunked answer: reset", async () => {
  assertAll(await against(({ socket }) => void socket.end(chunked(...events(2)).slice(0, -5)), STREAM), "reset");
});

test("a server that ends without an answer: reset", async () => {
  assertAll(await against(({ socket }) => void socket.end(), WHOLE), "reset");
});

test("a server that ends instead of a second answer: reset, also on a reused connection", async () => {
  const summary = await against(({ socket, onConnection }) => {
    if (onConnection === 0) socket.write(whole(BODY));
    else socket.end();
  }, WHOLE);
  assert.ok((summary.wrong["reset"] ?? 0) > 0);
  assert.ok(summary.right > 0);
  assert.equal(summary.right + (summary.wrong["reset"] ?? 0), summary.requests);
});

test("a server that never answers: timeout", async () => {
  assertAll(await against(() => {}, WHOLE, { timeoutMs: 50 }), "timeout");
});

test("a server that stops in the middle: timeout, at the latest when the drain ends", async () => {
  const summary = await against(({ socket }) => void socket.write(chunked(...events(2)).slice(0, -9)), STREAM, {
    drainMs: 50,
  });
  assertAll(summary, "timeout");
  assert.equal(summary.requests, 4);
});

test("nobody listens: connect", async () => {
  const server = await Liar.saying("");
  const { port } = server;
  await server.stop();
  const { summary } = await load(specification(port, { durationMs: 100 }));
  assertAll(summary, "connect");
});

test("nobody listens, open loop: connect, once per request", async () => {
  const server = await Liar.saying("");
  const { port } = server;
  await server.stop();
  const mode = { kind: "open", ratePerSecond: 500, connectionsMax: 10 };
  const { summary } = await load(specification(port, { mode }));
  assertAll(summary, "connect");
  assert.equal(summary.requests, 100);
});

test("a server that says that it closes, and one whose answer ends with its connection, are right", async () => {
  const closing = whole(BODY, "200 OK", "Connection: close\r\n");
  const endless = `HTTP/1.1 200 OK\r\n\r\n${BODY}`;
  for (const answer of [closing, endless]) {
    const summary = await against(({ socket }) => void socket.end(answer), WHOLE);
    assert.ok(summary.right > 0);
    assert.equal(summary.right, summary.requests);
  }
});

test("a server that closes idle connections is right: they are replaced", async () => {
  const mode = { kind: "open", ratePerSecond: 10, connectionsMax: 10 };
  const summary = await against(({ socket }) => void socket.end(whole(BODY)), WHOLE, { mode, durationMs: 500 });
  assert.equal(summary.right, 5);
  assert.equal(summary.connectionsOpened, 5);
});
