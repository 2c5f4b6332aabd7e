/**
 * Requests that the addon answers before uWebSockets.js reads them: which ones these are, and that nothing else on their connections
 * changes. Server and clients share a loop, so what was sent has been read some turns later.
 */
import { App, type HttpResponse } from "uWebSockets.js";
import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert/strict";
import { afterEach, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { native } from "../../src/native/native.ts";
import { RawClient } from "../support/raw-client.ts";
import { chunkedRequest, requestBytes } from "../support/raw-request.ts";
import { headerOf } from "../support/raw-response.ts";
import { until, within } from "../support/until.ts";
import { listen } from "../support/uws-port.ts";

const HEAD_BYTES_MAX = 1_000;
const BODY_BYTES_MAX = 5_000;
const REQUEST_ID_BYTES_MAX = 20;
const BEFORE = "HTTP/1.1 503 Service Unavailable\r\nx-request-id: ";
const AFTER = "\r\ncontent-length: 4\r\n\r\nshed";
const TURNS = 5;

type Handler = (response: HttpResponse) => void;
const answer: Handler = (response) => response.cork(() => response.end("served"));
let handle = answer;
const app = App().any("/*", (response) => {
  response.onAborted(() => undefined);
  handle(response);
});
const port = await listen(app);
native.shedForm(HEAD_BYTES_MAX, BODY_BYTES_MAX, REQUEST_ID_BYTES_MAX);

afterEach(() => {
  native.shedNoMore();
  handle = answer;
});

async function turns(): Promise<void> {
  for (let i = 0; i < TURNS; i += 1) await turn();
}

/** From now on, until shedNoMore(). */
async function shed(): Promise<void> {
  const client = await RawClient.connect(port);
  handle = (response) => {
    native.shedAlso(response, BEFORE, AFTER, "own-");
    answer(response);
  };
  strictEqual((await client.ask(requestBytes())).body.toString(), "served");
  handle = answer;
  client.leave();
}

/** What a client gets that sends this, piece by piece, and whether its connection ended. */
async function outcome(pieces: readonly (Buffer | string)[]): Promise<{ answers: string; ended: boolean }> {
  const client = await RawClient.connect(port);
  for (const piece of pieces) {
    await client.send(piece);
    await turns();
  }
  const answers = client
    .bytes()
    .toString("latin1")
    .replace(/date: .*\r\n/gi, "");
  const ended = client.ended || client.socket.closed;
  client.leave();
  return { answers, ended };
}

test("the answer is what was said, with the request's id or an own one, and the connection serves on", async () => {
  await shed();
  const client = await RawClient.connect(port);
  const own: string[] = [];
  for (const id of ["mine", "", "x".repeat(REQUEST_ID_BYTES_MAX), "x".repeat(REQUEST_ID_BYTES_MAX + 1)]) {
    const response = await client.ask(requestBytes({ headers: { "x-request-id": id } }));
    deepStrictEqual([response.status, response.body.toString()], [503, "shed"]);
    own.push(headerOf(response, "x-request-id"));
  }
  deepStrictEqual(own, ["mine", "own-2", "x".repeat(REQUEST_ID_BYTES_MAX), "own-4"]);
  strictEqual(native.shedNoMore(), 4);
  strictEqual(native.shedNoMore(), 0);
  strictEqual((await client.ask(requestBytes())).body.toString(), "served");
  client.leave();
});

const PLAIN: Record<string, Buffer> = {
  "one with a query": requestBytes({ target: "/v1/x?a=b&c" }),
  "one without a body": requestBytes({ headers: { "content-length": "" }, body: "" }),
  "one with a body of no bytes": requestBytes({ body: "" }),
  "the largest body": requestBytes({ body: "x".repeat(BODY_BYTES_MAX) }),
  "one that keeps its connection": requestBytes({ headers: { connection: "Keep-Alive" } }),
  "names in any case, space around a colon, and none": Buffer.from(
    "POST / HTTP/1.1\r\nHOST:  h\r\nContent-LENGTH:\t2\r\nx-empty:\r\nx-a:b\r\n\r\n{}",
  ),
};

for (const [what, bytes] of Object.entries(PLAIN)) {
  test(`${what} is answered at once`, async () => {
    await shed();
    deepStrictEqual(await outcome([bytes]), { answers: `${BEFORE}own-1${AFTER}`, ended: false });
    strictEqual(native.shedNoMore(), 1);
  });
}

const SMALL = requestBytes({ body: "{}" });
const headOf = (lines: string) => `POST / HTTP/1.1\r\nhost: h\r\n${lines}\r\n`;
const OTHERS: Record<string, readonly (Buffer | string)[]> = {
  "another method": [requestBytes({ method: "GET", headers: { "content-length": "" }, body: "" })],
  "a method in small letters": [headOf("").replace("POST", "post")],
  chunks: [chunkedRequest(Buffer.from("{}"), 10)],
  "one that closes its connection": [requestBytes({ headers: { connection: "close" } })],
  "one that names headers in Connection": [requestBytes({ headers: { connection: "x-a" } })],
  "a larger body": [requestBytes({ body: "x".repeat(BODY_BYTES_MAX + 1) })],
  "a larger head": [requestBytes({ headers: { "x-a": "x".repeat(HEAD_BYTES_MAX) } })],
  "many headers": [headOf("a: b\r\n".repeat(65))],
  "two lengths": [headOf("content-length: 0\r\ncontent-length: 0\r\n")],
  "a length that is no number": [headOf("content-length: 0x0\r\n")],
  "a length and chunks": [headOf("content-length: 0\r\ntransfer-encoding: chunked\r\n")],
  "no host": ["POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n"],
  "two hosts": [headOf("host: i\r\n")],
  "a space behind a name": [headOf("content-length : 0\r\n")],
  "a space behind a value": [headOf("x-a: b \r\n")],
  "a line that goes on": [headOf("x-a: b\r\n c\r\n")],
  "a control character": [headOf("x-a: b\u0001c\r\n")],
  "a bare line feed": [headOf("x-a: b\nx-b: c\r\n")],
  "a name of no bytes": [headOf(": b\r\n")],
  "a name that is none": [headOf("x a: b\r\n")],
  "a target that is no path": [headOf("").replace("/", "*")],
  "HTTP/1.0": [headOf("").replace("1.1", "1.0")],
  "a head in two pieces": [headOf("").slice(0, 25), headOf("").slice(25)],
  "a body behind its head": [SMALL.subarray(0, -2), SMALL.subarray(-2)],
  "two at once": [Buffer.concat([SMALL, SMALL])],
  "one and a half": [Buffer.concat([SMALL, SMALL.subarray(0, 20)]), SMALL.subarray(20)],
  "a head whose second piece looks like a request": ["POST / HTTP/1.1\r\nhost: h\r\nx-a: ", headOf("")],
  "a body that looks like a request": [headOf(`content-length: ${headOf("").length}\r\n`), headOf("")],
  "no request": ["hello\r\n\r\n"],
};

for (const [what, pieces] of Object.entries(OTHERS)) {
  test(`${what}: as if nothing were shed`, async () => {
    const before = await outcome(pieces);
    await shed();
    deepStrictEqual(await outcome(pieces), before);
    strictEqual(native.shedNoMore(), 0);
  });
}

test("one behind a request that is not answered yet ends its connection, as ever", async () => {
  await shed();
  const client = await RawClient.connect(port);
  handle = () => undefined;
  await client.send(requestBytes({ method: "PUT" }));
  await turns();
  await client.send(requestBytes());
  await within("its end", client.closed);
  deepStrictEqual([client.bytes().length, native.shedNoMore()], [0, 0]);
});

test("one behind an answer that is not with the kernel yet is answered behind it", async () => {
  await shed();
  const client = await RawClient.connect(port);
  const large = Buffer.alloc(32_000_000, "x");
  client.socket.pause();
  handle = (response) => {
    handle = answer;
    response.end(large);
  };
  await client.send(requestBytes({ method: "PUT" }));
  await turns();
  await client.send(requestBytes());
  await turns();
  client.socket.resume();
  strictEqual((await client.response())?.body.length, large.length);
  strictEqual((await client.response())?.body.toString(), "served");
  strictEqual(native.shedNoMore(), 0);
  client.leave();
});

test("a thousand connections, again and again", async () => {
  await shed();
  const clients = await Promise.all(Array.from({ length: 200 }, () => RawClient.connect(port)));
  const ids = new Set<string>();
  for (let round = 0; round < 5; round += 1) {
    const answers = await Promise.all(clients.map((client) => client.ask(requestBytes())));
    for (const one of answers) ids.add(headerOf(one, "x-request-id"));
  }
  deepStrictEqual([ids.size, native.shedNoMore()], [1_000, 1_000]);
  for (const client of clients) client.leave();
});

test("clients that leave meanwhile", async () => {
  await shed();
  for (let i = 0; i < 20; i += 1) {
    const client = await RawClient.connect(port);
    await client.send(requestBytes());
    client.socket.resetAndDestroy();
  }
  const client = await RawClient.connect(port);
  strictEqual((await client.ask(requestBytes())).status, 503);
  ok(native.shedNoMore() >= 1);
  client.leave();
});

test("what is no response, or one that is over, is refused", async () => {
  const client = await RawClient.connect(port);
  let told = "";
  handle = (response) => {
    answer(response);
    try {
      native.shedAlso(response, BEFORE, AFTER, "own-");
    } catch (error) {
      told = String(error);
    }
  };
  await client.ask(requestBytes());
  await until("it was told", () => told !== "");
  match(told, /waits for its beginning/);
  for (const other of [{}, [], null, 1, "response"]) {
    throws(() => Reflect.apply(native.shedAlso, native, [other, BEFORE, AFTER, "own-"]), /waits for its beginning/);
  }
  client.leave();
});
