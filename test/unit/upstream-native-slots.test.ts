/** Slots of native connections: who looks connections up by slot inside of onEvents finds the one that a record is about. */
import { ok, strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { native } from "../../src/native/native.ts";
import { SLOT_MASK } from "../../src/native/upstream.ts";
import { deliveries, Link } from "../support/native-upstream.ts";
import { RawServer } from "../support/raw-server.ts";

const LAST = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
const CONNECTIONS = 8;

after(() => strictEqual(native.upstreamConnections(), 0));

test("a slot has no new connection while records about the one before are on their way", async (t) => {
  const server = await RawServer.open(t);
  const links = Array.from({ length: CONNECTIONS }, () => new Link({ port: server.port }));
  for (const link of links) await link.next("connected");
  const slots = new Set(links.map(({ id }) => id & SLOT_MASK));
  const opened: Link[] = [];
  const batches = new Set<number>();
  for (const link of links) {
    link.onTold = ({ kind }) => {
      batches.add(deliveries());
      if (kind === "end") opened.push(new Link({ port: server.port }));
    };
    link.get();
  }
  for (let i = 0; i < CONNECTIONS; i += 1) await server.socket(i);
  for (const socket of server.sockets) socket.write(LAST);
  for (const link of links) await link.response();
  strictEqual(batches.size, 1);
  strictEqual(opened.length, CONNECTIONS);
  ok(opened.every(({ id }) => !slots.has(id & SLOT_MASK)));
  for (const link of opened) link.close();
  const later = Array.from({ length: CONNECTIONS }, () => new Link({ port: server.port }));
  ok(later.every(({ id }) => (id & SLOT_MASK) < 2 * CONNECTIONS + later.length));
  for (const link of later) link.close();
});

test("slots are used again", async (t) => {
  const server = await RawServer.open(t);
  const seen = new Set<number>();
  for (let i = 0; i < CONNECTIONS; i += 1) {
    const link = new Link({ port: server.port });
    await link.next("connected");
    seen.add(link.id & SLOT_MASK);
    link.close();
  }
  ok(seen.size < CONNECTIONS);
});
