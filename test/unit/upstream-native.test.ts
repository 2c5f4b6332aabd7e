/** Native connections to providers over TCP, driven through the binding against a server that the test writes every byte of. */
import { deepStrictEqual, notStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { constants } from "node:os";
import { after, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { native } from "../../src/native/native.ts";
import {
  CAUSE_PEER,
  CAUSE_PROTOCOL,
  CAUSE_SYSTEM,
  FLAG_CHUNKED,
  FLAG_CLOSE_DELIMITED,
  SLOT_MASK,
} from "../../src/native/upstream.ts";
import { deliveries, Link } from "../support/native-upstream.ts";
import { answering, RawServer } from "../support/raw-server.ts";
import { until } from "../support/until.ts";

const { ECONNREFUSED, ECONNRESET, EINVAL } = constants.errno;
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const FIVE_MB = 5_000_000;

after(() => strictEqual(native.upstreamConnections(), 0));

const reasonOf = (one: { cause: number; detail: number }) => native.upstreamReason(one.cause, one.detail);
/** Ends with an RST. */
const reset = (socket: { resetAndDestroy(): unknown }) => void socket.resetAndDestroy();

test("a request and its response; the next one on the same connection", async (t) => {
  const heads: string[] = [];
  const server = await RawServer.open(t, {
    onSocket: answering((request) => {
      heads.push(request.toString("latin1"));
      return "HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nX-Request-Id: abc\r\nContent-Length: 2\r\nX-Cafe: au\r\n\r\nok";
    }),
  });
  const link = new Link({ port: server.port });
  for (let i = 0; i < 3; i += 1) {
    strictEqual(link.send("GET /caf\xe9 HTTP/1.1\r\nhost: x\r\n\r\n"), true);
    const { head, body, reusable } = await link.response();
    strictEqual(head.status, 201);
    strictEqual(head.flags, 0);
    strictEqual(head.contentLength, 2n);
    strictEqual(head.contentType, "text/plain");
    strictEqual(head.contentEncoding, null);
    strictEqual(head.requestId, "abc");
    ok(head.lines.startsWith("\r\ncontent-type: text/plain\r\nx-cafe: "), head.lines);
    strictEqual(body.toString(), "ok");
    strictEqual(reusable, true);
  }
  strictEqual(server.sockets.length, 1);
  // JavaScript's characters up to 0xff are bytes.
  strictEqual(heads[2], "GET /caf\xe9 HTTP/1.1\r\nhost: x\r\n\r\n");
  link.close();
});

test("connecting: refused, no address, and closed before it is there", async (t) => {
  const server = await RawServer.open(t);
  await server.close();
  const refused = await new Link({ port: server.port }).next("connect failed");
  deepStrictEqual([refused.cause, refused.detail, refused.handshake], [CAUSE_SYSTEM, ECONNREFUSED, false]);
  strictEqual(reasonOf(refused), "Connection refused");
  const named = await new Link({ port: server.port, address: "localhost" }).next("connect failed");
  deepStrictEqual([named.cause, named.detail], [CAUSE_SYSTEM, EINVAL]);
  const waiting = new Link({ port: server.port });
  waiting.get();
  strictEqual((await waiting.next("connect failed")).detail, ECONNREFUSED);
  deepStrictEqual(
    waiting.told.map(({ kind }) => kind),
    ["connect failed"],
  );
  // In the same turn: nothing has been asked yet.
  for (const address of ["127.0.0.1", "localhost"]) new Link({ port: server.port, address }).close();
});

test("IPv6", async (t) => {
  const server = await RawServer.open(t, { host: "::1", onSocket: answering(OK) });
  const link = new Link({ port: server.port, address: "::1" });
  link.get();
  strictEqual((await link.response()).body.toString(), "ok");
  link.close();
});

test("a response that comes byte by byte", async (t) => {
  const text =
    "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nt: x\r\n\r\n";
  const server = await RawServer.open(t);
  const link = new Link({ port: server.port });
  link.get();
  const socket = await server.socket();
  socket.setNoDelay(true);
  for (const byte of text) {
    socket.write(byte, "latin1");
    // It is written at once, and read in the next turn.
    await turn();
    await turn();
  }
  const { head, body, reusable } = await link.response();
  strictEqual(head.flags, FLAG_CHUNKED);
  strictEqual(head.contentLength, -1n);
  strictEqual(body.toString(), "hello world");
  strictEqual(reusable, true);
  link.close();
});

test("what arrives together is told together, chunks as one piece", async (t) => {
  const server = await RawServer.open(t, {
    onSocket: answering(
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n",
    ),
  });
  const link = new Link({ port: server.port });
  await link.next("connected");
  const before = deliveries();
  link.get();
  strictEqual((await link.response()).body.toString(), "hello world");
  strictEqual(deliveries(), before + 1);
  deepStrictEqual(
    link.told.map(({ kind }) => kind),
    ["connected", "head", "body", "end"],
  );
  link.close();
});

test("a body that its connection's end delimits, and one that is cut", async (t) => {
  const end = (text: string) => (socket: Socket) => socket.end(text);
  const server = await RawServer.open(t, { onSocket: end("HTTP/1.1 200 OK\r\n\r\nall of it") });
  const whole = new Link({ port: server.port });
  whole.get();
  const { head, body, reusable } = await whole.response();
  strictEqual(head.flags, FLAG_CLOSE_DELIMITED);
  strictEqual(body.toString(), "all of it");
  strictEqual(reusable, false);
  const cutting = await RawServer.open(t, { onSocket: end("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nnot all") });
  const cut = new Link({ port: cutting.port });
  cut.get();
  const failed = await cut.next("fail");
  deepStrictEqual([failed.cause, failed.detail, failed.answered], [CAUSE_PEER, 0, true]);
  const silent = await RawServer.open(t, { onSocket: (socket) => socket.once("data", () => socket.end()) });
  const unanswered = new Link({ port: silent.port });
  unanswered.get();
  deepStrictEqual(await unanswered.next("fail"), { kind: "fail", cause: CAUSE_PEER, detail: 0, answered: false });
});

test("resets: without an answer, within one, and while idle", async (t) => {
  const server = await RawServer.open(t);
  for (const [i, answer] of ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"].entries()) {
    const link = new Link({ port: server.port });
    link.get();
    const socket = await server.socket(i);
    if (answer !== "") {
      socket.write(answer);
      await link.next("body");
    }
    await until("the request is there", () => socket.bytesRead > 0);
    reset(socket);
    const failed = await link.next("fail");
    deepStrictEqual([failed.cause, failed.detail, failed.answered], [CAUSE_SYSTEM, ECONNRESET, answer !== ""]);
  }
  const idle = new Link({ port: server.port });
  await idle.next("connected");
  reset(await server.socket(2));
  strictEqual((await idle.next("closed")).detail, ECONNRESET);
});

test("an idle connection that the peer ends, or that says what nobody asked for", async (t) => {
  const server = await RawServer.open(t);
  const [ended, talking] = [new Link({ port: server.port }), new Link({ port: server.port })];
  await ended.next("connected");
  await talking.next("connected");
  (await server.socket(0)).end();
  const first = ended.next("closed").catch(() => null);
  (await server.socket(1)).write(OK);
  // Which socket is whose is not known: both end, in one way each.
  const second = await talking.next("closed");
  const told = [await first, second];
  deepStrictEqual(told.map((one) => one?.cause).sort(), [CAUSE_PEER, CAUSE_PROTOCOL]);
  strictEqual(ended.get(), false);
  strictEqual(native.upstreamReason(CAUSE_PROTOCOL, 99), "unknown");
});

test("bytes behind a response end its connection", async (t) => {
  const server = await RawServer.open(t, { onSocket: answering(`${OK}HTTP/1.1 200 OK\r\n`) });
  const link = new Link({ port: server.port });
  link.get();
  strictEqual((await link.response()).reusable, false);
  strictEqual(link.get(), false);
});

test("how long the provider keeps an idle connection", async (t) => {
  const server = await RawServer.open(t, {
    onSocket: answering((request) => {
      const lines = request.toString("latin1").split("\r\n").slice(2, -2).join("\r\n");
      return `HTTP/1.1 200 OK\r\n${lines}\r\ncontent-length: 0\r\n\r\n`;
    }),
  });
  const link = new Link({ port: server.port });
  for (const [lines, seconds] of [
    ["x: timeout=1", -1],
    ["Keep-Alive: timeout=5", 5],
    ["keep-alive: max=100 , TimeOut = 15", 15],
    ["Keep-Alive: timeout=0", 0],
    ["Keep-Alive: timeout=20, timeout=7\r\nKeep-Alive: timeout=9", 7],
    ["Keep-Alive: timeout=999999999", 999_999_999],
    ["Keep-Alive: timeout=1234567890", -1],
    ["Keep-Alive: timeout=-1, timeout=1.5, timeout=, timeout, =5, xtimeout=5, timeouts=5", -1],
    ["Keep-Alive:", -1],
  ] as const) {
    link.send(`GET / HTTP/1.1\r\nhost: x\r\n${lines}\r\n\r\n`);
    deepStrictEqual(await link.next("end"), { kind: "end", reusable: true, keepAliveS: seconds }, lines);
  }
  link.close();
});

test("no response at all: the reason is the parser's", async (t) => {
  const server = await RawServer.open(t, { onSocket: answering("SSH-2.0-OpenSSH_9.2\r\n\r\n") });
  const link = new Link({ port: server.port });
  link.get();
  const failed = await link.next("fail");
  deepStrictEqual([failed.cause, failed.answered], [CAUSE_PROTOCOL, true]);
  ok(reasonOf(failed).length > "unknown".length, reasonOf(failed));
  notStrictEqual(reasonOf(failed), "unknown");
});

test("HEAD has no body, whatever its length", async (t) => {
  const server = await RawServer.open(t, {
    onSocket: answering("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n"),
  });
  const link = new Link({ port: server.port });
  link.send("HEAD / HTTP/1.1\r\nhost: x\r\n\r\n", null, true);
  const { head, body, reusable } = await link.response();
  deepStrictEqual([head.contentLength, body.length, reusable], [500n, 0, true]);
  link.close();
});

test("5 MB to a reader that begins late, also when its body was not kept by the caller", async (t) => {
  const server = await RawServer.open(t, { pauseOnConnect: true });
  const body = Buffer.alloc(FIVE_MB, "0123456789abcdef");
  const link = new Link({ port: server.port });
  await link.next("connected");
  link.post(Buffer.from(body));
  const socket = await server.socket();
  const parts: Buffer[] = [];
  socket.on("data", (chunk) => parts.push(chunk));
  socket.resume();
  const total = () => parts.reduce((sum, part) => sum + part.length, 0);
  await until("all of it came", () => total() > FIVE_MB);
  const received = Buffer.concat(parts);
  const begin = received.indexOf("\r\n\r\n") + 4;
  ok(received.subarray(begin).equals(body));
  socket.write(OK);
  strictEqual((await link.response()).reusable, true);
  link.close();
});

test("a body whose memory was taken away is never sent as something else", async (t) => {
  const server = await RawServer.open(t, { pauseOnConnect: true });
  const link = new Link({ port: server.port });
  const body = new Uint8Array(FIVE_MB).fill(65);
  link.send(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n`, body);
  await link.next("connected");
  structuredClone(body.buffer, { transfer: [body.buffer] });
  (await server.socket()).resume();
  strictEqual((await link.next("fail")).cause, CAUSE_SYSTEM);
});

test("an early answer: its connection ends while the request is being sent", async (t) => {
  const early = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 4\r\n\r\nmuch";
  const server = await RawServer.open(t, { pauseOnConnect: true });
  const link = new Link({ port: server.port });
  link.post(Buffer.alloc(FIVE_MB));
  (await server.socket()).write(early);
  const { head, body, reusable } = await link.response();
  deepStrictEqual([head.status, body.toString(), reusable], [413, "much", false]);
  // Answered, then reset, because it has not read the request: what came before is read all the same.
  const other = new Link({ port: server.port });
  other.post(Buffer.alloc(FIVE_MB));
  const socket = await server.socket(1);
  await other.next("connected");
  socket.write(early, () => socket.destroy());
  const answer = await other.response();
  deepStrictEqual([answer.head.status, answer.reusable], [413, false]);
  strictEqual(native.upstreamConnections(), 0);
});

test("a paused connection reads no more until it goes on, and loses nothing when the peer ends it", async (t) => {
  const server = await RawServer.open(t);
  const link = new Link({ port: server.port });
  link.get();
  const socket = await server.socket();
  socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${FIVE_MB}\r\n\r\n`);
  await link.next("head");
  link.pause(true);
  socket.end(Buffer.alloc(FIVE_MB, "x"));
  await until("the socket is full", () => socket.writableLength > 0 && socket.bytesWritten > 0);
  const bytes = () => link.told.reduce((sum, one) => sum + (one.kind === "body" ? one.bytes.length : 0), 0);
  // A turn of the loop that would have read.
  const other = new Link({ port: server.port });
  await other.next("connected");
  other.close();
  strictEqual(bytes(), 0);
  link.onTold = ({ kind }) => {
    if (kind !== "body") return;
    link.pause(true);
    setImmediate(() => link.pause(false));
  };
  link.pause(false);
  await link.next("end");
  strictEqual(bytes(), FIVE_MB);
  await until("its end was seen", () => native.upstreamConnections() === 0);
});

test("a paused connection that is reset says so when it goes on", async (t) => {
  const server = await RawServer.open(t);
  const link = new Link({ port: server.port });
  link.get();
  const socket = await server.socket();
  socket.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
  await link.next("body");
  link.pause(true);
  reset(socket);
  await once(socket, "close");
  link.pause(false);
  strictEqual((await link.next("fail")).detail, ECONNRESET);
});

test("closing: while it connects, waits, is idle, sends, receives, is paused, and inside of onEvents", async (t) => {
  const server = await RawServer.open(t, { onSocket: (socket) => socket.resume() });
  const connecting = new Link({ port: server.port });
  connecting.close();
  connecting.close();
  const waiting = new Link({ port: server.port });
  waiting.post(Buffer.alloc(FIVE_MB));
  waiting.close();
  const idle = new Link({ port: server.port });
  await idle.next("connected");
  idle.close();
  const stuck = await RawServer.open(t, { pauseOnConnect: true });
  const sending = new Link({ port: stuck.port });
  await sending.next("connected");
  sending.post(Buffer.alloc(FIVE_MB));
  sending.close();
  const talking = await RawServer.open(t, {
    onSocket: answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"),
  });
  for (const state of ["head", "body"] as const) {
    const link = new Link({ port: talking.port });
    link.onTold = ({ kind }) => {
      if (kind === state) native.upstreamClose(link.id);
    };
    link.get();
    await link.next(state);
    strictEqual(link.get(), false);
  }
  const paused = new Link({ port: talking.port });
  paused.get();
  await paused.next("body");
  paused.pause(true);
  paused.close();
  strictEqual(native.upstreamConnections(), 0);
});

test("a request, and a new connection, from inside of onEvents", async (t) => {
  const server = await RawServer.open(t, { onSocket: answering(OK) });
  const link = new Link({ port: server.port });
  const links: Link[] = [];
  let left = 20;
  link.onTold = ({ kind }) => {
    if (kind !== "end" || left === 0) return;
    left -= 1;
    links.push(new Link({ port: server.port }));
    link.get();
  };
  link.get();
  await until("all were answered", () => left === 0 && link.told.filter(({ kind }) => kind === "end").length === 21);
  strictEqual(links.length, 20);
  for (const one of [link, ...links]) one.close();
});

test("a second request on a connection that has one is a mistake of the caller", async (t) => {
  const server = await RawServer.open(t);
  const link = new Link({ port: server.port });
  link.get();
  throws(() => link.get(), /a request is on this connection/);
  await link.next("connected");
  throws(() => link.get(), /a request is on this connection/);
  link.close();
  throws(() => native.upstreamSend(link.id, "", [] as unknown as Uint8Array, 0, false));
  throws(() => native.upstreamConnect("127.0.0.1", 70_000, -1, ""), /a port has 16 bits/);
  throws(() => native.upstreamConnect("127.0.0.1", 1, 7, "x"), /this TLS context is not open/);
  throws(() => native.upstreamOpen(() => undefined, [], 1_024, 16), /upstreamOpen was called before/);
});

test("the number of a connection that has ended is nobody's", async (t) => {
  const server = await RawServer.open(t, { onSocket: answering(OK) });
  const old = new Link({ port: server.port });
  old.close();
  // Until what was told of it has been read.
  for (let i = 0; i < 2; i += 1) await turn();
  const link = new Link({ port: server.port });
  strictEqual(old.id & SLOT_MASK, link.id & SLOT_MASK);
  notStrictEqual(old.id, link.id);
  native.upstreamClose(old.id);
  native.upstreamPause(old.id, true);
  strictEqual(native.upstreamSend(old.id, "", null, 0, false), false);
  link.get();
  strictEqual((await link.response()).body.toString(), "ok");
  link.close();
});

test("a thousand connections at a time, each with its own answer, and larger ones than fit into the slab together", async (t) => {
  const body = (request: Buffer) => request.toString("latin1").split(" ")[1]?.slice(1).padEnd(20_000, ".") ?? "";
  const server = await RawServer.open(t, {
    onSocket: answering((request) => `HTTP/1.1 200 OK\r\ncontent-length: 20000\r\n\r\n${body(request)}`),
  });
  const links = Array.from({ length: 1_000 }, () => new Link({ port: server.port }));
  for (const [i, link] of links.entries()) link.get(`/${i}`);
  for (const [i, link] of links.entries()) {
    const { body: got, reusable } = await link.response();
    strictEqual(got.toString(), `${i}`.padEnd(20_000, "."));
    strictEqual(reusable, true);
    link.close();
  }
  strictEqual(native.upstreamConnections(), 0);
});

test("a head of 60 KB, and one that is too long", async (t) => {
  const head = (bytes: number) => `HTTP/1.1 200 OK\r\nx: ${"y".repeat(bytes)}\r\ncontent-length: 2\r\n\r\nok`;
  const server = await RawServer.open(t, {
    onSocket: answering((request) => head(Number(request.toString().slice(5, 12)))),
  });
  const link = new Link({ port: server.port });
  link.get("/0060000");
  strictEqual((await link.response()).head.lines.length, 60_005);
  link.send(`GET /0000005 HTTP/1.1\r\nhost: ${"h".repeat(100_000)}\r\n\r\n`);
  strictEqual((await link.response()).head.lines, "\r\nx: yyyyy");
  link.get("/0070000");
  strictEqual((await link.next("fail")).cause, CAUSE_PROTOCOL);
});

test("many heads that come in pieces at a time, of which nothing can be told yet", async (t) => {
  const head = `HTTP/1.1 200 OK\r\nx: ${"y".repeat(60_000)}\r\ncontent-length: 2\r\n\r\nok`;
  const server = await RawServer.open(t);
  const links = Array.from({ length: 50 }, () => new Link({ port: server.port }));
  for (const link of links) link.get();
  await server.socket(links.length - 1);
  for (const piece of [head.slice(0, 30_000), head.slice(30_000, 60_000), head.slice(60_000)]) {
    // All are written before any is read.
    for (const socket of server.sockets) socket.write(piece);
    await turn();
    await turn();
  }
  for (const link of links) {
    const { head: got, body } = await link.response();
    strictEqual(got.lines.length, 60_005);
    strictEqual(body.toString(), "ok");
    link.close();
  }
});

test("promises and process.nextTick of onEvents run before the loop goes on", async (t) => {
  const server = await RawServer.open(t, { onSocket: answering(OK) });
  const link = new Link({ port: server.port });
  await link.next("connected");
  const order: string[] = [];
  link.onTold = ({ kind }) => {
    if (kind !== "end") return;
    setImmediate(() => order.push("immediate"));
    process.nextTick(() => order.push("tick"));
    void Promise.resolve().then(() => order.push("promise"));
  };
  link.get();
  await link.next("end");
  await until("the immediate ran", () => order.includes("immediate"));
  deepStrictEqual(order, ["tick", "promise", "immediate"]);
  link.close();
});
