/** Request bodies that go to the provider while they still arrive, over native TCP and TLS. */
import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { describe, type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { Origin } from "../../src/upstream/origin.ts";
import type { Attempt } from "../../src/upstream/transport.ts";
import { RawServer } from "../support/raw-server.ts";
import { ANSWER, ask, begun, GOOD, Heard, type OriginForm, originOf, REQUEST } from "../support/transports.ts";
import { until, within } from "../support/until.ts";

const MB = 1_048_576;
const EARLY = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 4\r\n\r\nmuch";
/** The head that a body of so many bytes has. */
const HEAD = (host: string, bytes: number) =>
  `POST /v1/x HTTP/1.1\r\nhost: ${host}\r\ncontent-length: ${bytes}\r\n\r\n`;

function fixture(name: string): string {
  return readFileSync(new URL(`../fixtures/tls/test-only-${name}.pem`, import.meta.url), "utf8");
}

const TLS = { cert: fixture("server"), key: fixture("server.key") };

/** What has come over a socket of a request that is not answered yet. */
class Incoming {
  parts: Buffer[] = [];
  length = 0;
  /** Of the whole request; NaN until its head is there. */
  #whole = Number.NaN;
  headBytes = 0;

  add(bytes: Buffer): this {
    this.parts.push(bytes);
    this.length += bytes.length;
    if (Number.isNaN(this.#whole)) this.#findHead();
    return this;
  }

  #findHead(): void {
    const text = this.bytes.toString("latin1");
    this.headBytes = text.indexOf("\r\n\r\n") + 4;
    if (this.headBytes >= 4) this.#whole = this.headBytes + Number(/content-length: (\d+)/.exec(text)?.[1]);
  }

  get isWhole(): boolean {
    return this.length >= this.#whole;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.parts);
  }
}

/** A provider that answers whenever a request is whole, and an origin for it. */
class Provider {
  readonly server: RawServer;
  readonly origin: Origin;
  readonly host: string;
  readonly received = new Map<Socket, Incoming>();
  /** Of requests that were whole. */
  readonly bodies: Buffer[] = [];
  /** Instead of the answer to a whole request. */
  onBytes: ((socket: Socket, incoming: Incoming) => void) | null = null;

  private constructor(server: RawServer, secure: boolean, form: OriginForm) {
    this.server = server;
    this.host = `127.0.0.1:${server.port}`;
    const url = `${secure ? "https" : "http"}://${this.host}`;
    this.origin = originOf("native", url, { connections: 4, ...form, tls: { ca: fixture("ca") } });
  }

  static async open(t: TestContext, secure: boolean, form: OriginForm = {}): Promise<Provider> {
    const onSocket = (socket: Socket) => {
      socket.on("data", (bytes) => made.#take(socket, bytes));
    };
    const server = await RawServer.open(t, secure ? { tls: TLS, onSocket } : { onSocket });
    const made = new Provider(server, secure, form);
    t.after(() => made.origin.retire());
    return made;
  }

  #take(socket: Socket, bytes: Buffer): void {
    const incoming = (this.received.get(socket) ?? new Incoming()).add(bytes);
    this.received.set(socket, incoming);
    if (this.onBytes !== null) this.onBytes(socket, incoming);
    else if (incoming.isWhole) this.#answer(socket, incoming);
  }

  #answer(socket: Socket, { bytes, headBytes }: Incoming): void {
    this.bodies.push(bytes.subarray(headBytes));
    this.received.delete(socket);
    socket.write(ANSWER);
  }

  /** Bytes that came of requests that are not answered. */
  get pending(): number {
    return [...this.received.values()].reduce((sum, { length }) => sum + length, 0);
  }
}

/** A body that grows: its bytes are written to their place just before they are released. */
class Growing {
  readonly whole: Buffer;
  readonly body: Buffer;
  readonly heard = new Heard();
  #attempt: Attempt | null = null;
  ready: number;

  constructor(bytes: number, ready = 0) {
    this.whole = randomBytes(bytes);
    this.body = Buffer.alloc(bytes);
    this.ready = ready;
    this.whole.copy(this.body, 0, 0, ready);
  }

  begin(origin: Origin): this {
    this.#attempt = begun(origin, this.heard, { body: this.body, bodyReady: this.ready }).attempt;
    return this;
  }

  add(bytes = this.body.length): void {
    const end = Math.min(this.body.length, this.ready + bytes);
    this.whole.copy(this.body, this.ready, this.ready, end);
    this.ready = end;
    this.#attempt?.release(end);
  }

  async addAll(sizes: readonly number[]): Promise<void> {
    for (let i = 0; this.ready < this.body.length; i += 1) {
      this.add(sizes[i % sizes.length]);
      // The socket is written at once; what it does not take, in a later turn.
      if (i % 3 === 0) await turn();
    }
  }

  cancel(): void {
    this.#attempt?.cancel();
  }

  over(): Promise<void> {
    return within("the end of a growing request", this.heard.over);
  }
}

/** Ends with an RST, which a TLS socket cannot. */
function reset(provider: Provider, index: number): void {
  provider.server.connections[index]?.resetAndDestroy();
}

function holds(secure: boolean): void {
  const SIZES: readonly (readonly [string, number, readonly number[]])[] = [
    ["1 byte", 2_000, [1]],
    ["a few bytes", 20_000, [1, 2, 3, 100, 1_000]],
    ["about a TLS record", 3 * MB, [16_383, 16_384, 16_385, 1, 32_768]],
    ["more than is encrypted at once", 6 * MB, [65_535, 65_537, 2 * MB, 7]],
  ];
  for (const [what, bytes, sizes] of SIZES) {
    test(`pieces of ${what} arrive as they were, and the connection takes the next request`, async (t) => {
      const provider = await Provider.open(t, secure);
      for (const ready of [0, 1, Math.floor(bytes / 2)]) {
        const growing = new Growing(bytes, ready).begin(provider.origin);
        await growing.addAll(sizes);
        await growing.over();
        deepStrictEqual(growing.heard.events, GOOD);
        ok(provider.bodies.pop()?.equals(growing.whole));
      }
      deepStrictEqual((await ask(provider.origin)).events, GOOD);
      deepStrictEqual([provider.server.sockets.length, provider.origin.connections], [1, 1]);
    });
  }

  test("what there is goes out with the head, at once; the rest when it is there", async (t) => {
    const provider = await Provider.open(t, secure);
    await ask(provider.origin);
    const growing = new Growing(30, 10).begin(provider.origin);
    deepStrictEqual(growing.heard.events, ["sent"]);
    const head = HEAD(provider.host, 30);
    await until("a part came", () => provider.pending === head.length + 10);
    growing.add(5);
    await until("more came", () => provider.pending === head.length + 15);
    const expected = Buffer.concat([Buffer.from(head), growing.whole.subarray(0, 15)]);
    deepStrictEqual(
      [...provider.received.values()].map(({ bytes }) => bytes),
      [expected],
    );
    growing.add(0);
    growing.add();
    await growing.over();
    deepStrictEqual(growing.heard.events, GOOD);
  });

  test("the head goes out alone when there is nothing else", async (t) => {
    const provider = await Provider.open(t, secure);
    const growing = new Growing(30).begin(provider.origin);
    await until("the head came", () => provider.pending === HEAD(provider.host, 30).length);
    growing.add();
    await growing.over();
    deepStrictEqual(growing.heard.events, GOOD);
  });

  test("a body that grows while it waits for a connection, and while that is made", async (t) => {
    const provider = await Provider.open(t, secure, { connections: 1, queue: 2 });
    const [first, second, third] = [1_000, 2_000, 3_000].map((size) => new Growing(size).begin(provider.origin));
    for (const growing of [first, second, third]) growing?.add(10);
    deepStrictEqual(first?.heard.events, []);
    second?.add();
    await until("the head of the first came", () => provider.pending > 0);
    third?.add(100);
    first?.add();
    await until("the third is sent", () => third?.heard.events.length === 1);
    third?.add();
    for (const growing of [first, second, third]) {
      await growing?.over();
      deepStrictEqual(growing?.heard.events, GOOD);
      ok(growing !== undefined && provider.bodies.shift()?.equals(growing.whole));
    }
    strictEqual(provider.server.sockets.length, 1);
  });

  test("a provider that reads slowly holds back what the kernel does not take, and gets all of it", async (t) => {
    const provider = await Provider.open(t, secure);
    const growing = new Growing(16 * MB, 1).begin(provider.origin);
    const socket = await provider.server.socket();
    await until("it came", () => provider.pending > 0);
    socket.pause();
    growing.add(12 * MB);
    growing.add(1);
    await turn();
    socket.on("data", () => {
      socket.pause();
      setImmediate(() => socket.resume());
    });
    socket.resume();
    growing.add(MB);
    await until("the most of it came", () => provider.pending > 12 * MB);
    growing.add();
    await growing.over();
    deepStrictEqual(growing.heard.events, GOOD);
    ok(provider.bodies[0]?.equals(growing.whole));
  });

  test("the loop is not woken while there is nothing to write", async (t) => {
    const provider = await Provider.open(t, secure);
    const growing = new Growing(MB, MB / 2).begin(provider.origin);
    await until("the half came", () => provider.pending === HEAD(provider.host, MB).length + MB / 2);
    // Not at first: a TLS ticket, for one, is read late. A loop that is woken for it has an event in each turn for ever.
    await until("turns pass without events", async () => {
      const before = performance.nodeTiming.uvMetricsInfo.events;
      for (let i = 0; i < 100; i += 1) await turn();
      return performance.nodeTiming.uvMetricsInfo.events - before < 50;
    });
    growing.add();
    await growing.over();
    deepStrictEqual(growing.heard.events, GOOD);
  });

  test("an answer that ends before the body does is heard, and costs the connection", async (t) => {
    const provider = await Provider.open(t, secure);
    await ask(provider.origin);
    provider.onBytes = (socket, { length }) => {
      if (length === HEAD(provider.host, 1_000).length + 500) socket.write(EARLY);
    };
    const growing = new Growing(1_000, 499).begin(provider.origin);
    growing.add(1);
    await growing.over();
    deepStrictEqual(growing.heard.events, ["sent", "head 413", "much", "end"]);
    strictEqual(provider.origin.connections, 0);
    const socket = await provider.server.socket();
    if (!socket.destroyed) await within("the end of the connection", once(socket, "close"));
    // It is over: the rest is nobody's.
    growing.add();
    strictEqual(provider.pending, HEAD(provider.host, 1_000).length + 500);
  });

  test("an answer that begins before the body is whole, and ends after it: the connection is kept", async (t) => {
    const provider = await Provider.open(t, secure);
    const sockets: Socket[] = [];
    provider.onBytes = (socket, { length }) => {
      const left = HEAD(provider.host, 1_000).length + 1_000 - length;
      if (left === 500) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{");
      if (left !== 0) return;
      provider.received.delete(socket);
      sockets.push(socket);
    };
    const growing = new Growing(1_000, 500).begin(provider.origin);
    await until("the answer began", () => growing.heard.chunks.length > 0);
    growing.add();
    (await until("the request is whole", () => sockets[0])).write("}");
    await growing.over();
    deepStrictEqual([growing.heard.events, provider.origin.connections], [GOOD, 1]);
  });

  test("a provider that resets in the middle: on a new connection it fails, on a reused one it is replayable", async (t) => {
    const provider = await Provider.open(t, secure);
    const broken = async (index: number): Promise<Growing> => {
      provider.onBytes = (_socket, { length }) => {
        if (length > 200) reset(provider, index);
      };
      const growing = new Growing(1_000, 100).begin(provider.origin);
      await until("it is on its way", () => provider.pending > 0 || growing.heard.events.includes("sent"));
      growing.add(200);
      await growing.over();
      provider.onBytes = null;
      provider.received.clear();
      return growing;
    };
    deepStrictEqual((await broken(0)).heard.events, ["sent", "upstream_reset"]);
    await ask(provider.origin);
    const growing = await broken(1);
    deepStrictEqual(growing.heard.events, ["sent", "upstream_reset replayable"]);
    strictEqual(provider.origin.connections, 0);
    // The replay begins with what there is by now, and grows on.
    const replay = new Heard();
    const { body, ready, whole } = growing;
    provider.bodies.length = 0;
    const attempt = provider.origin.send({ ...REQUEST, body, bodyReady: ready }, replay, true);
    whole.copy(body);
    attempt.release(1_000);
    await within("the end of the replay", replay.over);
    deepStrictEqual(replay.events, GOOD);
    ok(provider.bodies[0]?.equals(whole));
  });

  test("a request that is cancelled in the middle is never whole for the provider", async (t) => {
    const provider = await Provider.open(t, secure);
    const growing = new Growing(1_000, 10).begin(provider.origin);
    await until("a part came", () => provider.pending > 0);
    growing.add(980);
    growing.cancel();
    growing.add();
    const socket = await provider.server.socket();
    if (!socket.destroyed) await within("the end of the connection", once(socket, "close"));
    ok(provider.pending <= HEAD(provider.host, 1_000).length + 990);
    deepStrictEqual([growing.heard.events, provider.bodies.length, provider.origin.connections], [["sent"], 0, 0]);
  });

  test("a request that is cancelled while its connection is made, or waits for one, sends nothing", async (t) => {
    const provider = await Provider.open(t, secure, { connections: 1, queue: 1 });
    const [connecting, waiting] = [
      new Growing(100, 5).begin(provider.origin),
      new Growing(100, 5).begin(provider.origin),
    ];
    waiting.cancel();
    waiting.add();
    connecting.cancel();
    connecting.add();
    deepStrictEqual((await ask(provider.origin)).events, GOOD);
    deepStrictEqual([connecting.heard.events, waiting.heard.events, provider.bodies.length], [[], [], 1]);
  });

  test("a body whose memory is taken away while it grows is never sent as something else", async (t) => {
    const provider = await Provider.open(t, secure);
    const body = new Uint8Array(1_000);
    const { attempt, heard } = begun(provider.origin, new Heard(), { body, bodyReady: 10 });
    await until("a part came", () => provider.pending > 0);
    structuredClone(body.buffer, { transfer: [body.buffer] });
    attempt.release(500);
    // Not at once: nothing is told within a call.
    deepStrictEqual(heard.events, ["sent"]);
    await within("the end of the attempt", heard.over);
    deepStrictEqual([heard.events, heard.cause], [["sent", "upstream_reset"], "Bad address"]);
    strictEqual(provider.pending, HEAD(provider.host, 1_000).length + 10);
    strictEqual(provider.origin.connections, 0);
  });

  test("many at a time, each with its own bytes", async (t) => {
    const provider = await Provider.open(t, secure, { connections: 64, queue: 64 });
    const all = Array.from({ length: 100 }, (_, i) => new Growing(10_000 + i * 1_000, i).begin(provider.origin));
    await Promise.all(all.map((growing, i) => growing.addAll([i * 10 + 1, 1_000, 5_000])));
    await Promise.all(all.map((growing) => growing.over()));
    const byLength = new Map(provider.bodies.map((body) => [body.length, body]));
    for (const { heard, whole } of all) {
      deepStrictEqual(heard.events, GOOD);
      ok(byLength.get(whole.length)?.equals(whole));
    }
    ok(provider.origin.connections <= 64);
  });
}

for (const secure of [false, true]) describe(`over ${secure ? "TLS" : "TCP"}`, () => holds(secure));

test("a body does not shrink, nor grow over its length; undici takes none that grows", async (t) => {
  const provider = await Provider.open(t, false);
  const { attempt } = begun(provider.origin, new Heard(), { body: Buffer.alloc(10), bodyReady: 5 });
  throws(() => attempt.release(4), /a body grows/);
  throws(() => attempt.release(11), /a body grows/);
  attempt.cancel();
  const undici = originOf("undici", `http://${provider.host}`);
  deepStrictEqual([provider.origin.growing, undici.growing], [true, false]);
  throws(() => begun(undici, new Heard(), { body: Buffer.alloc(10), bodyReady: 5 }), /a body is whole/);
});
