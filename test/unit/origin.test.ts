/** The connections of one provider origin: who holds which, what is bounded, and how each end of an attempt counts. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { after, describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import { ERRORS } from "../../src/base/errors.ts";
import type { Origin } from "../../src/upstream/origin.ts";
import { ScriptedProvider } from "../support/request-path.ts";
import { TRANSPORTS, type TransportKind } from "../support/transport-names.ts";
import { ANSWER, ask, begun, GOOD, Heard, originOf, REQUEST } from "../support/transports.ts";
import { until, within } from "../support/until.ts";

const provider = await ScriptedProvider.start(() => undefined);
after(() => provider.stop());

function respond(socket: Socket): void {
  socket.write(ANSWER);
}

async function eventsOf(origin: Origin, fresh = false): Promise<string[]> {
  return (await ask(origin, {}, fresh)).events;
}

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

for (const kind of TRANSPORTS) describe(`over ${kind}`, () => holds(kind));

function holds(kind: TransportKind): void {
  const opened = (port = provider.port, connections = 2, queue = 1): Origin => {
    const origin = originOf(kind, `http://127.0.0.1:${port}`, { connections, queue });
    after(() => origin.retire());
    return origin;
  };

  test("attempts one after the other share a connection", async () => {
    provider.script = respond;
    const origin = opened();
    const before = provider.sockets.length;
    for (let i = 0; i < 5; i += 1) deepStrictEqual(await eventsOf(origin), GOOD);
    deepStrictEqual([origin.connections, provider.sockets.length - before], [1, 1]);
  });

  test("the connection that was used last is used first, and one that grew old is closed", async () => {
    const answers: Socket[] = [];
    provider.script = (socket) => answers.push(socket);
    const origin = opened();
    const [one, two] = [begun(origin), begun(origin)];
    await until("both arrived", () => answers.length === 2);
    for (const socket of answers.splice(0)) respond(socket);
    await Promise.all([one.heard.over, two.heard.over]);
    const [first, second] = [begun(origin).heard, await until("it arrived", () => answers.shift())];
    respond(second);
    await first.over;
    provider.script = respond;
    origin.sweep(performance.now() + 5_000);
    deepStrictEqual(await eventsOf(origin), GOOD);
    origin.sweep(performance.now() + 12_000);
    strictEqual(origin.connections, 1);
    origin.sweep(performance.now() + 100_000);
    strictEqual(origin.connections, 0);
  });

  test("an attempt says when a connection is made for it: not in the queue, and not on one that is there", async () => {
    provider.script = respond;
    const origin = opened(provider.port, 1, 2);
    const [first, second] = [begun(origin).heard, begun(origin).heard];
    deepStrictEqual([first.connecting, second.connecting], [true, false]);
    await Promise.all([first.over, second.over]);
    strictEqual(second.connecting, false);
  });

  test("a fresh attempt gets a connection of its own", async () => {
    provider.script = respond;
    const origin = opened();
    await ask(origin);
    deepStrictEqual(await eventsOf(origin, true), GOOD);
    strictEqual(origin.connections, 2);
  });

  test("over the bounds an attempt waits its turn, and over the queue's it is refused at once", async () => {
    provider.script = () => undefined;
    const origin = opened();
    const before = provider.sockets.length;
    const [a, b, c, d] = [begun(origin).heard, begun(origin).heard, begun(origin).heard, begun(origin).heard];
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
    const origin = opened(provider.port, 1, 1);
    const [first, second] = [begun(origin), begun(origin)];
    second.attempt.cancel();
    const third = begun(origin);
    await until("the first was sent", () => first.heard.events.length > 0);
    provider.script = respond;
    first.attempt.cancel();
    await third.heard.over;
    deepStrictEqual([first.heard.events, second.heard.events, third.heard.events], [["sent"], [], GOOD]);
    strictEqual(origin.connections, 1);
  });

  test("an attempt that is cancelled while it connects tells nothing, and holds nothing", async () => {
    const origin = opened();
    const { attempt, heard } = begun(origin);
    attempt.cancel();
    attempt.cancel();
    strictEqual(origin.connections, 0);
    provider.script = respond;
    deepStrictEqual(await eventsOf(origin), GOOD);
    deepStrictEqual([heard.events, origin.connections], [[], 1]);
  });

  test("a connection that is still being made ends with the attempt that wanted it", async () => {
    // Accepts and never says a word: the TLS handshake stays open.
    const silent = createServer((socket) => socket.on("error", () => socket.destroy())).listen(0, "127.0.0.1");
    after(() => silent.close());
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    const origin = originOf(kind, `https://127.0.0.1:${port}`, { connections: 1 });
    const { attempt } = begun(origin);
    const [socket] = (await once(silent, "connection")) as [Socket];
    attempt.cancel();
    await within("the end of the handshake", once(socket.resume(), "close"));
    strictEqual(origin.connections, 0);
  });

  test("a retired origin finishes what runs, also what waits, and keeps no connection", async () => {
    provider.script = () => undefined;
    const origin = opened(provider.port, 1, 1);
    const before = provider.sockets.length;
    const [running, waiting] = [begun(origin).heard, begun(origin).heard];
    await until("it arrived", () => provider.sockets.length > before);
    origin.retire();
    provider.script = respond;
    for (const socket of provider.sockets.slice(before)) respond(socket);
    await Promise.all([running.over, waiting.over]);
    deepStrictEqual([running.events, waiting.events, origin.connections], [GOOD, GOOD, 0]);
  });

  test("a connection that broke under a first request is not replayable, one that was reused is", async () => {
    provider.script = (socket) => socket.resetAndDestroy();
    const origin = opened();
    deepStrictEqual(await eventsOf(origin), ["sent", "upstream_reset"]);
    provider.script = respond;
    await ask(origin);
    provider.script = (socket) => socket.resetAndDestroy();
    deepStrictEqual(await eventsOf(origin), ["sent", "upstream_reset replayable"]);
    strictEqual(origin.connections, 0);
  });

  test("a reused connection that broke after a byte of the answer is not replayable", async () => {
    provider.script = respond;
    const origin = opened();
    await ask(origin);
    provider.script = (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-le");
    deepStrictEqual(await eventsOf(origin), ["sent", "upstream_reset"]);
  });

  test("a free connection that the provider closes is forgotten", async () => {
    provider.script = respond;
    const origin = opened();
    await ask(origin);
    provider.sockets.at(-1)?.end();
    await until("it is forgotten", () => origin.connections === 0);
    deepStrictEqual([await eventsOf(origin), origin.connections], [GOOD, 1]);
  });

  test("an answer that is paused with its last bytes gives its connection back when it goes on", async () => {
    provider.script = respond;
    const origin = opened();
    const heard = new Heard();
    const { attempt } = begun(origin, heard);
    const { onChunk } = Heard.prototype;
    heard.onChunk = (chunk) => {
      onChunk.call(heard, chunk);
      attempt.pause();
    };
    await until("the bytes arrived", () => heard.chunks.length > 0);
    strictEqual(origin.connections, 1);
    attempt.resume();
    await heard.over;
    deepStrictEqual([heard.events, await eventsOf(origin), origin.connections], [GOOD, GOOD, 1]);
  });

  const unsent = kind === "native" ? "goes on with another" : "is replayable";
  test(`an attempt on a warm connection whose reset waits to be read ${unsent}: nothing was sent`, async () => {
    const flag = new Int32Array(new SharedArrayBuffer(4));
    const thread = new Worker(RESETTING, { eval: true, workerData: flag });
    const [port]: number[] = await once(thread, "message");
    const origin = opened(port);
    deepStrictEqual(await eventsOf(origin), GOOD);
    const heard = new Heard();
    setImmediate(() => {
      resetAll(flag);
      origin.send(REQUEST, heard, false);
    });
    await within("the end of an attempt", heard.over);
    if (kind === "native") deepStrictEqual([heard.events, origin.connections], [GOOD, 1]);
    else deepStrictEqual([heard.events.at(-1), origin.connections], ["upstream_reset replayable", 0]);
    await thread.terminate();
  });
}

test("what undici refuses to write is refused, and its connection is not lost to the count", async () => {
  const origin = originOf("undici", `http://127.0.0.1:${provider.port}`);
  const heard = new Heard();
  origin.send({ ...REQUEST, lines: "\r\nbad name: x" }, heard, false);
  deepStrictEqual([heard.events, origin.connections], [[ERRORS.invalidHeader.code], 0]);
});
