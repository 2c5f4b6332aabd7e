/** What the whole request path does at its edges in time: drain, reload, breaks and departures. In one process. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { scansOpen } from "../../src/providers/response-scan.ts";
import { CREDENTIAL } from "../support/config.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { headerOf } from "../support/raw-response.ts";
import { configOf, providerConfig, RequestPath, ScriptedProvider } from "../support/request-path.ts";
import { until } from "../support/until.ts";

const BODY = '{"model":"other"}';
const ANSWER = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

const provider = await ScriptedProvider.start(() => undefined);
const path = await RequestPath.start(provider);
after(() => {
  path.stop();
  provider.stop();
});
beforeEach(() => {
  provider.script = () => undefined;
});

/** A client whose request the provider has, and has not answered. */
async function begun(): Promise<RawClient> {
  const before = provider.bytesTotal;
  const client = await RawClient.connect(path.port);
  await client.send(requestBytes({ body: BODY }));
  await until("the provider has the request", () => provider.bytesTotal > before);
  return client;
}

function answerAll(bytes: string): void {
  for (const socket of provider.sockets) if (!socket.destroyed) socket.write(bytes);
}

async function atRest(client: RawClient): Promise<void> {
  client.leave();
  await until("nothing is in flight", () => path.pipeline.inFlight === 0);
  strictEqual(scansOpen(), 0);
}

test("an answer that breaks before its first byte is an error answer", async () => {
  provider.script = (socket) => socket.end(ANSWER.slice(0, -2));
  const client = await RawClient.connect(path.port);
  const { status, body, complete } = await client.ask(requestBytes({ body: BODY }));
  deepStrictEqual([status, complete], [502, true]);
  match(body.toString(), /"upstream_cut"/);
  deepStrictEqual(path.records().at(-1)?.error, ERRORS.upstreamCut.number);
  await atRest(client);
});

test("a chunked or close-delimited answer that breaks before its first byte is an error answer too", async () => {
  const head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
  for (const framing of ["transfer-encoding: chunked\r\n\r\n", "\r\n"]) {
    provider.script = (socket) => socket.end(head + framing);
    const client = await RawClient.connect(path.port);
    const { status, complete } = await client.ask(requestBytes({ body: BODY }));
    deepStrictEqual([status, complete], [502, true], framing);
    await atRest(client);
  }
});

test("an answer that breaks after its first byte is cut", async () => {
  provider.script = (socket) => socket.end(ANSWER.slice(0, -1));
  const client = await RawClient.connect(path.port);
  strictEqual((await client.ask(requestBytes({ body: BODY }))).complete, false);
  await atRest(client);
});

test("a client that leaves has one record, with its address, and its provider is told", async () => {
  const before = path.records().length;
  const client = await begun();
  client.leave();
  await until("it is recorded", () => path.records().length > before);
  const record = path.records().at(-1);
  deepStrictEqual([record?.error, record?.address], [ERRORS.clientAborted.number, "127.0.0.1"]);
  await until("the provider's connection is gone", () => provider.sockets.every((socket) => socket.destroyed));
  await atRest(client);
  strictEqual(path.records().length, before + 1);
});

test("a reload leaves a request in flight with its provider, also when that has another address now, or is gone", async () => {
  const other = await ScriptedProvider.start((socket) => socket.write(ANSWER));
  const client = await RawClient.connect(path.port);
  const whole = requestBytes({ body: BODY });
  const before = provider.bytesTotal;
  await client.send(whole.subarray(0, -1));
  await until("the head was read", () => path.pipeline.inFlight === 1);
  await path.reload(configOf({ main: providerConfig(other.port) }, path.dataDir));
  await client.send(whole.subarray(-1));
  await until("the first provider has the request", () => provider.bytesTotal > before);
  answerAll(ANSWER);
  strictEqual((await client.response())?.status, 200);
  strictEqual((await client.ask(whole)).status, 200);
  strictEqual(Buffer.concat(other.received).toString().split(CREDENTIAL).length, 2);
  await path.reload(configOf({ main: providerConfig(provider.port) }, path.dataDir));
  other.stop();
  await atRest(client);
});

test("when a drain begins, a request in flight is answered with Connection: close", async () => {
  const client = await begun();
  path.pipeline.drain();
  answerAll(ANSWER);
  const response = await client.response();
  strictEqual(headerOf(response ?? { headers: [] }, "connection").toLowerCase(), "close");
  await client.close();
  await atRest(client);
});
