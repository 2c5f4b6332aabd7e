/** HTTP/2 to providers: many attempts on one connection within the same bounds, and what ends one of them, or all. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createSecureServer, type Http2ServerResponse, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { createServer } from "node:tls";
import { UPSTREAM_STREAMS_MAX } from "../../src/base/limits.ts";
import type { Origin } from "../../src/upstream/origin.ts";
import { ANSWER, ask, begun, GOOD, originOf } from "../support/transports.ts";
import { until, within } from "../support/until.ts";

function fixture(name: string): string {
  return readFileSync(new URL(`../fixtures/tls/test-only-${name}.pem`, import.meta.url), "utf8");
}

const OWN = { cert: fixture("server"), key: fixture("server.key") };
const sessions: ServerHttp2Session[] = [];
const versions: string[] = [];
/** Answers that wait. */
let held: Http2ServerResponse[] = [];

function respond(response: Http2ServerResponse): void {
  response.writeHead(200, { "content-type": "application/json", "x-a": "1" });
  response.end("{}");
}

let script: (response: Http2ServerResponse) => void = respond;

const server = createSecureServer(OWN, (request, response) => {
  versions.push(`${request.httpVersion} ${request.method} ${request.url} ${request.headers["x-b"] ?? ""}`);
  request.resume().on("end", () => script(response));
});
server.on("session", (session) => sessions.push(session));
server.listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address() as AddressInfo;
after(() => {
  for (const session of sessions) session.destroy();
  server.close();
});

function opened(connections = 4, queue = 1_000, at = port): Origin {
  const origin = originOf("undici", `https://localhost:${at}`, {
    ...{ connections, queue, http2: true },
    tls: { ca: fixture("ca") },
  });
  after(() => origin.retire());
  return origin;
}

function hold(response: Http2ServerResponse): void {
  held.push(response);
}

function letGo(): void {
  for (const response of held.splice(0)) respond(response);
}

async function arrived(count: number): Promise<void> {
  await until(`${count} arrived`, () => held.length >= count);
}

test("a request and its answer", async () => {
  script = respond;
  const heard = await ask(opened(), { lines: "\r\nx-b: 2" });
  deepStrictEqual(heard.events, GOOD);
  ok(heard.head?.lines.includes("\r\nx-a: 1"));
  deepStrictEqual([heard.head?.contentType, heard.head?.closeDelimited], ["application/json", false]);
  strictEqual(versions.at(-1), "2.0 POST /v1/x 2");
});

test("attempts at a time share one connection, also those that came before it was made", async () => {
  script = hold;
  const [origin, before] = [opened(), sessions.length];
  const early = Array.from({ length: 40 }, () => begun(origin).heard);
  deepStrictEqual([early[0]?.connecting, early[1]?.connecting], [true, false]);
  await arrived(40);
  const late = Array.from({ length: 30 }, () => begun(origin).heard);
  await arrived(70);
  deepStrictEqual([origin.connections, sessions.length - before], [1, 1]);
  letGo();
  await within("all answers", Promise.all([...early, ...late].map(({ over }) => over)));
  for (const { events } of [...early, ...late]) deepStrictEqual(events, GOOD);
});

test("a connection carries so many, the next one the others, and the rest waits", async () => {
  script = hold;
  const origin = opened(2, 10);
  const most = Array.from({ length: 2 * UPSTREAM_STREAMS_MAX }, () => begun(origin).heard);
  const places = UPSTREAM_STREAMS_MAX;
  // The first connection is expected to carry all that wait for it, and the queue has its bound.
  const refused = most.filter(({ events }) => events.includes("upstream_queue_full"));
  strictEqual(refused.length, most.length - 1 - 10);
  await arrived(11);
  const more = Array.from({ length: 2 * places - 11 }, () => begun(origin).heard);
  await arrived(places);
  const waiting = begun(origin);
  await arrived(Math.min(2 * places, held.length));
  strictEqual(origin.connections, 2);
  waiting.attempt.cancel();
  await until("all that may be are there", () => held.length >= places + 1);
  const poll = setInterval(letGo, 5);
  await within("all answers", Promise.all([...most, ...more].map(({ over }) => over)));
  clearInterval(poll);
  strictEqual(more.filter(({ events }) => events.includes("end")).length > places / 2, true);
});

test("an attempt that is cancelled, or reset by the provider, ends alone", async () => {
  script = hold;
  const origin = opened();
  const [cancelled, reset, other] = [begun(origin), begun(origin), begun(origin)];
  await arrived(3);
  cancelled.attempt.cancel();
  held[1]?.stream.close(2);
  await within("the reset one", reset.heard.over);
  strictEqual(reset.heard.events.at(-1), "upstream_reset");
  letGo();
  await within("the other", other.heard.over);
  deepStrictEqual([cancelled.heard.events, other.heard.events, origin.connections], [["sent"], GOOD, 1]);
});

test("a connection that the provider ends takes its attempts along, and the next one gets another", async () => {
  script = hold;
  const origin = opened();
  const both = [begun(origin).heard, begun(origin).heard];
  await arrived(2);
  held = [];
  sessions.at(-1)?.destroy();
  await within("both", Promise.all(both.map(({ over }) => over)));
  for (const { events } of both) strictEqual(events.at(-1)?.startsWith("upstream_reset"), true);
  await until("it is forgotten", () => origin.connections === 0);
  script = respond;
  deepStrictEqual((await ask(origin)).events, GOOD);
  strictEqual(origin.connections, 1);
});

test("a provider that goes away finishes what it has", async () => {
  script = hold;
  const origin = opened();
  const running = begun(origin).heard;
  await arrived(1);
  sessions.at(-1)?.goaway(0);
  await until("the connection takes no more", () => origin.connections === 0);
  const next = begun(origin).heard;
  await arrived(2);
  letGo();
  await within("both", Promise.all([running.over, next.over]));
  deepStrictEqual([running.events, next.events, origin.connections], [GOOD, GOOD, 1]);
});

test("a retired origin finishes its streams", async () => {
  script = hold;
  const origin = opened();
  const both = [begun(origin).heard, begun(origin).heard];
  await arrived(2);
  origin.retire();
  letGo();
  await within("both", Promise.all(both.map(({ over }) => over)));
  deepStrictEqual([both[0]?.events, both[1]?.events, origin.connections], [GOOD, GOOD, 0]);
});

test("a provider without HTTP/2 gets HTTP/1.1, a connection for each", async () => {
  const old = createServer({ ...OWN, ALPNProtocols: ["http/1.1"] }, (socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", () => socket.write(ANSWER));
  });
  after(() => old.close());
  old.listen(0, "127.0.0.1");
  await once(old, "listening");
  const origin = opened(4, 10, (old.address() as AddressInfo).port);
  const all = Array.from({ length: 8 }, () => begun(origin).heard);
  await within("all answers", Promise.all(all.map(({ over }) => over)));
  for (const { events } of all) deepStrictEqual(events, GOOD);
  ok(origin.connections > 1 && origin.connections <= 4);
});

test("a body that does not fit a window", async () => {
  let bytes = 0;
  script = (response) => {
    bytes = 0;
    respond(response);
  };
  server.once("stream", (stream) => stream.on("data", (chunk: Buffer) => (bytes += chunk.length)));
  const body = Buffer.alloc(3 * 1_048_576, "x");
  deepStrictEqual((await ask(opened(), { body })).events, GOOD);
  ok(bytes >= 0);
});
