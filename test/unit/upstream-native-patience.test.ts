/** Native connections to providers while more of an answer may wait. */
import { ok, strictEqual } from "node:assert/strict";
import type { Socket } from "node:net";
import { constants } from "node:os";
import { type TestContext, test } from "node:test";
import { native } from "../../src/native/native.ts";
import { Link } from "../support/native-upstream.ts";
import { RawServer } from "../support/raw-server.ts";
import { until } from "../support/until.ts";

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const FIVE_MB = 5_000_000;

/** Lets the loop turn until another connection is there: whatever can be read was looked at. */
async function turns(port: number): Promise<void> {
  for (let i = 0; i < 3; i += 1) {
    const other = new Link({ port });
    await other.next("connected");
    other.close();
  }
}

/** A connection with a request on it, and the server's end of it. */
async function asked(t: TestContext): Promise<{ port: number; link: Link; socket: Socket }> {
  const server = await RawServer.open(t);
  t.after(() => native.upstreamPatience(0));
  const link = new Link({ port: server.port });
  link.get();
  return { port: server.port, link, socket: await server.socket() };
}

test("with patience, more of an answer waits, but not the first of the next one, and nothing is lost", async (t) => {
  const { port, link, socket } = await asked(t);
  const text = () => link.told.map((one) => (one.kind === "body" ? one.bytes.toString() : one.kind)).join(" ");
  native.upstreamPatience(60_000);
  socket.write("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nab");
  await until("the first of it is told", () => text().endsWith("head ab"));
  socket.write("cd");
  await turns(port);
  socket.write("ef");
  await turns(port);
  ok(text().endsWith("head ab"), text());
  native.upstreamPatience(0);
  await until("the rest is told in one piece", () => text().endsWith("head ab cdef end"));
  native.upstreamPatience(60_000);
  link.get();
  socket.write(OK);
  await until("the next answer does not wait", () => text().endsWith("head ok end"));
  link.get();
  socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${FIVE_MB}\r\n\r\n`);
  socket.write(Buffer.alloc(FIVE_MB, "x"));
  native.upstreamPatience(1);
  await until("it is whole", () => link.told.at(-1)?.kind === "end" && text().length > FIVE_MB);
  link.close();
});

test("with patience, an end and a reset are told when it is over", async (t) => {
  const { link, socket } = await asked(t);
  socket.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
  native.upstreamPatience(20);
  await link.next("body");
  socket.resetAndDestroy();
  strictEqual((await link.next("fail")).detail, constants.errno.ECONNRESET);
});
