/** A stream's events reach the client before anything more comes of the provider, however they end and are split. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import type { Socket } from "node:net";
import { after, test } from "node:test";
import { ChunkReader } from "../support/chunk-reader.ts";
import { CREDENTIAL, KEY } from "../support/config.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { RequestPath, ScriptedProvider } from "../support/request-path.ts";
import { until, within } from "../support/until.ts";

const BODY = JSON.stringify({ model: "allowed", stream: true, messages: [] });
const HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

const EVENT = 'data: {"choices":[{"delta":{"content":"a"}}]}\n\n';
const DONE = "data: [DONE]\n\n";

const provider = await ScriptedProvider.start(() => undefined);
const path = await RequestPath.start(provider);
after(() => {
  path.stop();
  provider.stop();
});

/** The provider's side of the next request, once it has all of it. */
function asked(): Promise<Socket> {
  return new Promise((resolve) => {
    provider.script = (socket, received) => {
      if (received.includes(CREDENTIAL) && received.subarray(-1).toString() === "}") resolve(socket);
    };
  });
}

function ask(): Promise<IncomingMessage> {
  const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json", connection: "close" };
  const sent = request({ port: path.port, method: "POST", path: "/v1/chat/completions", headers });
  sent.end(BODY);
  return once(sent, "response").then(([response]) => response);
}

function chunk(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`;
}

for (const [name, end] of Object.entries({ LF: "\n", CRLF: "\r\n", CR: "\r" })) {
  test(`each event is with the client before more is sent, split at every byte (${name})`, async () => {
    const event = `data: {"choices":[{"delta":{"content":"a"}}]}${end}${end}`;
    const socketAsked = asked();
    const answered = ask();
    const socket = await within("the request", socketAsked);
    socket.write(HEAD + chunk(event));
    const response = await within("the head with the first event", answered);
    let text = "";
    response.setEncoding("latin1").on("data", (part: string) => (text += part));
    let sent = event;
    for (let split = 1; split < event.length; split += 1) {
      socket.write(chunk(event.slice(0, split)));
      // The event may be whole before its last byte: the line break of a CR is its CR.
      if (/\r\n\r$/.test(event.slice(0, split))) {
        await until(`event ${split} is there without its LF`, () => text === sent + event.slice(0, split));
      }
      socket.write(chunk(event.slice(split)));
      sent += event;
      await until(`event ${split} is there`, () => text === sent);
    }
    socket.write(`${chunk(DONE)}0\r\n\r\n`);
    await within("the end", once(response, "end"));
    strictEqual(text, sent + DONE);
  });
}

test("an event is there with the line break that ends its chunk: readers that wait for it do not wait", async () => {
  const socketAsked = asked();
  const client = await RawClient.connect(path.port);
  await client.send(requestBytes({ body: BODY }));
  const socket = await within("the request", socketAsked);
  const chunks = new ChunkReader();
  const seen: string[] = [];
  socket.write(HEAD + chunk(EVENT));
  await client.sees("\r\n\r\n");
  let read = client.bytes().indexOf("\r\n\r\n") + 4;
  for (let events = 1; events <= 20; events += 1) {
    await until(`event ${events} is there`, () => {
      seen.push(...chunks.read(client.bytes().subarray(read)).map(String));
      read = client.bytes().length;
      return seen.length >= events;
    });
    deepStrictEqual([seen.length, seen.at(-1), chunks.rest.length], [events, EVENT, 0]);
    if (events < 20) socket.write(chunk(EVENT));
  }
  client.leave();
  await until("nothing is in flight", () => path.pipeline.inFlight === 0);
});

test("the head comes with the first event, and the end with the last one, each in one piece", async () => {
  const socketAsked = asked();
  const client = await RawClient.connect(path.port);
  const pieces: string[] = [];
  client.socket.on("data", (bytes: Buffer) => pieces.push(bytes.toString()));
  await client.send(requestBytes({ body: BODY }));
  const socket = await within("the request", socketAsked);
  socket.write(HEAD + chunk(EVENT));
  await until("the event is there", () => pieces.join("").includes(EVENT));
  socket.write(`${chunk(DONE)}0\r\n\r\n`);
  await until("the end is there", () => pieces.join("").includes(DONE));
  deepStrictEqual([pieces.length, pieces[0]?.endsWith(`\r\n\r\n${chunk(EVENT)}`)], [2, true]);
  strictEqual(pieces[1], `${chunk(DONE)}0\r\n\r\n`);
  client.leave();
});

for (const [what, begins] of Object.entries({ "with its head": "", "within its first event": "data: {" })) {
  test(`a stream that breaks ${what} has a status that says so`, async () => {
    const socketAsked = asked();
    const client = await RawClient.connect(path.port);
    await client.send(requestBytes({ body: BODY }));
    const socket = await within("the request", socketAsked);
    socket.write(HEAD + (begins === "" ? "" : chunk(begins)), () => socket.destroy());
    const response = await client.response();
    strictEqual(response?.status, 502);
    strictEqual(JSON.parse(response.body.toString()).error.code, "upstream_cut");
    client.leave();
    await until("nothing is in flight", () => path.pipeline.inFlight === 0);
  });
}
