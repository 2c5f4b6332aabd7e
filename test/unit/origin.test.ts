/** The connections of one provider origin: who holds which, what is bounded, and how each end of an attempt counts. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Worker } from "node:worker_threads";
import { buildConnector } from "undici";
import { ERRORS } from "../../src/base/errors.ts";
import { createCounters, openCounters } from "../../src/shm/counters.ts";
import { Origin } from "../../src/upstream/origin.ts";
import type { AttemptListener, ResponseHead, UpstreamRequest } from "../../src/upstream/transport.ts";
import { ScriptedProvider } from "../support/request-path.ts";
import { until, within } from "../support/until.ts";

const ANSWER = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const REQUEST: UpstreamRequest = { method: "POST", path: "/v1/x", lines: "", body: Buffer.from("{}") };

const dataDir = mkdtempSync(join(tmpdir(), "sluice-origin-"));
createCounters(dataDir);
const counters = openCounters(dataDir, 0);

const provider = await ScriptedProvider.start(() => undefined);
after(() => provider.stop());

function respond(socket: Socket): void {
  socket.write(ANSWER);
}

/** Writes down what an attempt tells. */
class Heard implements AttemptListener {
  readonly events: string[] = [];
  /** A connection was made for it. */
  connecting = false;
  readonly over: Promise<void>;
  #finish: () => void = () => undefined;

  constructor() {
    this.over = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  onSent(): void {
    this.events.push("sent");
  }

  onConnecting(): void {
    this.connecting = true;
  }

  onHead({ status }: ResponseHead): void {
    this.events.push(`head ${status}`);
  }

  onChunk(chunk: Buffer): void {
    this.events.push(chunk.toString());
  }

  onEnd(): void {
    this.events.push("end");
    this.#finish();
  }

  onFail(error: { readonly code: string }, replayable: boolean): void {
    this.events.push(error.code + (replayable ? " replayable" : ""));
    this.#finish();
  }
}

function originOf(port = provider.port, connections = 2, queue = 1): Origin {
  const connector = buildConnector({ timeout: 1_000, allowH2: false });
  const options = { origin: `http://127.0.0.1:${port}`, connector, keepAliveMs: 10_000 };
  const origin = new Origin(options, { connections, queue }, counters);
  after(() => origin.retire());
  return origin;
}

async function ask(origin: Origin, fresh = false): Promise<string[]> {
  const heard = new Heard();
  origin.send(REQUEST, heard, fresh);
  await within("the end of an attempt", heard.over);
  return heard.events;
}

const GOOD = ["sent", "head 200", "{}", "end"];

test("attempts one after the other share a connection", async () => {
  provider.script = respond;
  const origin = originOf();
  const before = provider.sockets.length;
  for (let i = 0; i < 5; i += 1) deepStrictEqual(await ask(origin), GOOD);
  deepStrictEqual([origin.connections, provider.sockets.length - before], [1, 1]);
});

test("an attempt says when a connection is made for it: not in the queue, and not on one that is there", async () => {
  provider.script = respond;
  const origin = originOf(provider.port, 1, 2);
  const [first, second] = [new Heard(), new Heard()];
  for (const heard of [first, second]) origin.send(REQUEST, heard, false);
  deepStrictEqual([first.connecting, second.connecting], [true, false]);
  await Promise.all([first.over, second.over]);
  strictEqual(second.connecting, false);
});

test("a fresh attempt gets a connection of its own", async () => {
  provider.script = respond;
  const origin = originOf();
  await ask(origin);
  deepStrictEqual(await ask(origin, true), GOOD);
  strictEqual(origin.connections, 2);
});

test("over the bounds an attempt waits its turn, and over the queue's it is refused at once", async () => {
  provider.script = () => undefined;
  const origin = originOf();
  const before = provider.sockets.length;
  const [a, b, c, d] = [new Heard(), new Heard(), new Heard(), new Heard()];
  for (const heard of [a, b, c, d]) origin.send(REQUEST, heard, false);
  deepStrictEqual(d.events, [ERRORS.upstreamQueueFull.code]);
  await until("two requests arrived", () => provider.sockets.length - before === 2);
  deepStrictEqual([c.events, origin.connections], [[], 2]);
  provider.script = respond;
  for (const socket of provider.sockets.slice(before)) respond(socket);
  await Promise.all([a.over, b.over, c.over]);
  deepStrictEqual([a.events, b.events, c.events, origin.connections], [GOOD, GOOD, GOOD, 2]);
});

test("an attempt that is cancelled in the queue leaves its place to the next", async () => {
  provider.script = () => undefined;
  const origin = originOf(provider.port, 1, 1);
  const [first, second, third] = [new Heard(), new Heard(), new Heard()];
  const attempt = origin.send(REQUEST, first, false);
  origin.send(REQUEST, second, false).cancel();
  origin.send(REQUEST, third, false);
  await until("the first was sent", () => first.events.length > 0);
  provider.script = respond;
  attempt.cancel();
  await third.over;
  deepStrictEqual([first.events, second.events, third.events], [["sent"], [], GOOD]);
  strictEqual(origin.connections, 1);
});

test("an attempt that is cancelled while it connects tells nothing, and holds nothing", async () => {
  const origin = originOf();
  const heard = new Heard();
  const attempt = origin.send(REQUEST, heard, false);
  attempt.cancel();
  attempt.cancel();
  strictEqual(origin.connections, 0);
  provider.script = respond;
  deepStrictEqual(await ask(origin), GOOD);
  deepStrictEqual([heard.events, origin.connections], [[], 1]);
});

test("a connection that is still being made ends with the attempt that wanted it", async () => {
  // Accepts and never says a word: the TLS handshake stays open.
  const silent = createServer((socket) => socket.on("error", () => socket.destroy())).listen(0, "127.0.0.1");
  after(() => silent.close());
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  const connector = buildConnector({ timeout: 60_000, allowH2: false });
  const options = { origin: `https://127.0.0.1:${port}`, connector, keepAliveMs: 10_000 };
  const origin = new Origin(options, { connections: 1, queue: 1 }, counters);
  const attempt = origin.send(REQUEST, new Heard(), false);
  const [socket] = (await once(silent, "connection")) as [Socket];
  attempt.cancel();
  await within("the end of the handshake", once(socket.resume(), "close"));
  strictEqual(origin.connections, 0);
});

test("a request that cannot be written is refused, and its connection is not lost to the count", async () => {
  const origin = originOf();
  const heard = new Heard();
  origin.send({ ...REQUEST, lines: "\r\nbad name: x" }, heard, false);
  deepStrictEqual([heard.events, origin.connections], [[ERRORS.invalidHeader.code], 0]);
});

test("a retired origin finishes what runs, also what waits, and keeps no connection", async () => {
  provider.script = () => undefined;
  const origin = originOf(provider.port, 1, 1);
  const before = provider.sockets.length;
  const [running, waiting] = [new Heard(), new Heard()];
  origin.send(REQUEST, running, false);
  origin.send(REQUEST, waiting, false);
  await until("it arrived", () => provider.sockets.length > before);
  origin.retire();
  provider.script = respond;
  for (const socket of provider.sockets.slice(before)) respond(socket);
  await Promise.all([running.over, waiting.over]);
  deepStrictEqual([running.events, waiting.events, origin.connections], [GOOD, GOOD, 0]);
});

test("a connection that broke under a first request is not replayable, one that was reused is", async () => {
  provider.script = (socket) => socket.resetAndDestroy();
  const origin = originOf();
  deepStrictEqual(await ask(origin), ["sent", "upstream_reset"]);
  provider.script = respond;
  await ask(origin);
  provider.script = (socket) => socket.resetAndDestroy();
  deepStrictEqual(await ask(origin), ["sent", "upstream_reset replayable"]);
  strictEqual(origin.connections, 0);
});

test("a reused connection that broke after a byte of the answer is not replayable", async () => {
  provider.script = respond;
  const origin = originOf();
  await ask(origin);
  provider.script = (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-le");
  deepStrictEqual(await ask(origin), ["sent", "upstream_reset"]);
});

test("an answer that is paused at its end gives its connection back when it goes on", async () => {
  provider.script = respond;
  const origin = originOf();
  const heard = new Heard();
  const attempt = origin.send(REQUEST, heard, false);
  heard.onChunk = () => attempt.pause();
  await until("the head arrived", () => heard.events.includes("head 200"));
  deepStrictEqual([heard.events.includes("end"), origin.connections], [false, 1]);
  attempt.resume();
  await heard.over;
  deepStrictEqual([await ask(origin), origin.connections], [GOOD, 1]);
});

/** A provider in a thread: it resets its connections while this thread is busy, when flag 0 becomes 1. */
const RESETTING = `
  const { parentPort, workerData: flag } = require("node:worker_threads");
  const sockets = [];
  const server = require("node:net").createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.on("data", () => socket.write(${JSON.stringify(ANSWER)}));
  });
  server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));
  setInterval(() => {
    if (Atomics.load(flag, 0) !== 1) return;
    const closed = sockets.splice(0).map((socket) => new Promise((done) => socket.resetAndDestroy().once("close", done)));
    Atomics.store(flag, 0, 2);
    Promise.all(closed).then(() => { Atomics.store(flag, 0, 3); Atomics.notify(flag, 0); });
  }, 1);
`;

function resetAll(flag: Int32Array): void {
  Atomics.store(flag, 0, 1);
  for (let value = 1; value !== 3; value = Atomics.load(flag, 0)) Atomics.wait(flag, 0, value, 10);
}

test("a warm connection whose reset waits to be read is replayable: nothing was sent", async () => {
  const flag = new Int32Array(new SharedArrayBuffer(4));
  const thread = new Worker(RESETTING, { eval: true, workerData: flag });
  const [port]: number[] = await once(thread, "message");
  const origin = originOf(port);
  deepStrictEqual(await ask(origin), GOOD);
  const heard = new Heard();
  setImmediate(() => {
    resetAll(flag);
    origin.send(REQUEST, heard, false);
  });
  await within("the end of an attempt", heard.over);
  deepStrictEqual([heard.events, origin.connections], [["upstream_reset replayable"], 0]);
  await thread.terminate();
});
