/** A connection on its way over several addresses: who is tried when, which one is taken, and what becomes of the others. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer as createPlainServer, type Server, type Socket } from "node:net";
import { after, test } from "node:test";
import { createServer } from "node:tls";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import { ADDRESS_HEAD_START_MS } from "../../src/base/limits.ts";
import { Addresses } from "../../src/upstream/addresses.ts";
import { type Destination, Dial, type Dialer, sweepDials } from "../../src/upstream/dial.ts";
import { closeSocket, openSockets } from "../../src/upstream/native-events.ts";
import { tlsContextOf } from "../../src/upstream/tls-context.ts";
import { until, within } from "../support/until.ts";

function fixture(name: string): string {
  return readFileSync(new URL(`../fixtures/tls/test-only-${name}.pem`, import.meta.url), "utf8");
}

openSockets();
const tls = tlsContextOf({ ca: fixture("ca"), client: null, serverName: null });

/** Sockets of a server that never says a word, or of one that answers a handshake. */
async function listen(server: Server, host: string, port = 0): Promise<{ port: number; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  server.on("connection", (socket: Socket) => {
    sockets.push(socket);
    socket.on("error", () => socket.destroy());
  });
  after(() => server.close());
  server.listen(port, host);
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, sockets };
}

const good = await listen(createServer({ cert: fixture("server"), key: fixture("server.key") }), "127.0.0.1");
const silent = await listen(createPlainServer({ pauseOnConnect: false }), "127.0.0.2", good.port);

class Outcome implements Dialer {
  readonly told: (number | string)[] = [];
  error: ErrorRow | null = null;
  readonly over: Promise<void>;
  #finish: () => void = () => undefined;

  constructor() {
    this.over = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  onDialed(socket: number): void {
    this.told.push(socket);
    this.#finish();
  }

  onDialFailed(error: ErrorRow, cause: string): void {
    this.error = error;
    this.told.push(cause);
    this.#finish();
  }
}

/** Tries these in this order: the first connection begins with the second answer. */
function destination(...order: string[]): Destination {
  const [last, ...first] = [order.at(-1) ?? "", ...order.slice(0, -1)];
  const found = [last, ...first].map((address) => ({ address, family: 4 }));
  const addresses = new Addresses("api.test", (_, done) => done(null, found));
  return { addresses, port: good.port, tls, serverName: "localhost" };
}

function dialed(where: Destination): { outcome: Outcome; dial: Dial } {
  const outcome = new Outcome();
  const dial = new Dial(where, outcome);
  return { outcome, dial };
}

/** The order of the next connection to the same host, from its second place on. */
function lastOf({ addresses }: Destination): string | undefined {
  let last: string | undefined;
  addresses.get((list) => {
    last = list.at(-1)?.text;
  });
  return last;
}

async function connected({ outcome }: { outcome: Outcome }): Promise<void> {
  await within("the connection", outcome.over);
  const [socket] = outcome.told;
  ok(typeof socket === "number", String(socket));
  closeSocket(socket);
}

test("one address", async () => {
  await connected(dialed(destination("127.0.0.1")));
});

test("an address that does not connect gets a head start, then the next one is tried beside it, and taken", async () => {
  const where = destination("127.0.0.2", "127.0.0.1");
  const [before, startedMs] = [silent.sockets.length, performance.now()];
  const { outcome, dial } = dialed(where);
  const socket = await until("the first is tried", () => silent.sockets[before]);
  sweepDials(startedMs + ADDRESS_HEAD_START_MS / 2);
  strictEqual(good.sockets.filter(({ destroyed }) => !destroyed).length, 0);
  const closed = once(socket.resume(), "end");
  sweepDials(performance.now() + ADDRESS_HEAD_START_MS);
  await connected({ outcome });
  await within("the end of the slow one", closed);
  dial.cancel();
  strictEqual(lastOf(where), "127.0.0.2");
});

test("an address that refuses gives way at once", async () => {
  await connected(dialed(destination("127.0.0.3", "127.0.0.1")));
});

test("when all fail, what is told is what could be reached, and why each failed", async () => {
  const { outcome } = dialed({ ...destination("127.0.0.3", "127.0.0.1"), serverName: "other.test" });
  await within("the failure", outcome.over);
  strictEqual(outcome.error, ERRORS.upstreamTls);
  const [cause] = outcome.told;
  ok(/connect to 127\.0\.0\.3 .*; connect to 127\.0\.0\.1 /.test(String(cause)), String(cause));
});

test("one that is cancelled ends what is tried and tells nothing", async () => {
  const before = silent.sockets.length;
  const { outcome, dial } = dialed(destination("127.0.0.2", "127.0.0.1"));
  const socket = await until("the first is tried", () => silent.sockets[before]);
  const closed = once(socket.resume(), "end");
  dial.cancel();
  sweepDials(performance.now() + 10 * ADDRESS_HEAD_START_MS);
  await within("its end", closed);
  deepStrictEqual(outcome.told, []);
});
