/** The PROXY protocol: who is believed, and that nobody else is. */
import { strictEqual } from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { freePort } from "../../native-bench/contestants/free-port.ts";
import { proxyHeaderFor } from "../../src/http/proxy-header.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes, STREAM_BODY } from "../support/raw-request.ts";
import { headerOf } from "../support/raw-response.ts";
import { startStage } from "../support/stage.ts";
import { until, within } from "../support/until.ts";
import { TEST_CA } from "../support/upstream.ts";

const FIXTURES = new URL("../fixtures/tls/", import.meta.url).pathname;
const directory = mkdtempSync(join(tmpdir(), "sluice-proxy-"));
after(() => rmSync(directory, { recursive: true }));
const path = join(directory, "a.sock");

const plain = await freePort();
const trusting = await freePort();
const strict = await freePort();
const secured = await freePort();
const tls = { cert_file: `${FIXTURES}test-only-server.pem`, key_file: `${FIXTURES}test-only-server.key.pem` };
const trusted = { trusted: ["127.0.0.0/8"] };
const { sluice } = await startStage(() => ({
  listen: [
    `127.0.0.1:${plain}`,
    { address: `127.0.0.1:${trusting}`, proxy_protocol: trusted },
    { address: `127.0.0.1:${strict}`, proxy_protocol: { trusted: ["192.0.2.0/24", "fd00::/8"] } },
    { address: `127.0.0.1:${secured}`, tls, proxy_protocol: trusted },
    { address: `unix:${path}`, proxy_protocol: { trusted: ["unix"] } },
  ],
}));

const V6 = Buffer.from("20010db8000000000000000000000009", "hex");
/** Version 2, from 2001:db8::9. */
const HEADER = proxyHeaderFor(V6);
const TEXT = "PROXY TCP4 192.0.2.7 127.0.0.1 40000 8081\r\n";

async function addressOf(requestId: string): Promise<string> {
  const line = await until("the line is in the access log", async () =>
    (await sluice.accessLogText()).split("\n").find((text) => text.includes(requestId)),
  );
  return JSON.parse(line).client_address;
}

/** Sends a header and a request; the address in the record, or null: the connection was closed without an answer. */
async function recorded(client: RawClient, header: Buffer | string): Promise<string | null> {
  await client.send(Buffer.concat([Buffer.from(header), requestBytes()]));
  const response = await client.response();
  client.leave();
  return response === null ? null : addressOf(headerOf(response, "x-request-id") ?? "");
}

test("a trusted proxy is believed, in both versions", async () => {
  strictEqual(await recorded(await RawClient.connect(trusting), HEADER), "2001:db8::9");
  strictEqual(await recorded(await RawClient.connect(trusting), TEXT), "192.0.2.7");
});

test("a proxy that speaks for itself is recorded as what it is", async () => {
  strictEqual(await recorded(await RawClient.connect(trusting), "PROXY UNKNOWN\r\n"), "127.0.0.1");
});

test("so is the proxy at a unix socket", async () => {
  strictEqual(await recorded(await RawClient.connectPath(path), HEADER), "2001:db8::9");
  strictEqual(await recorded(await RawClient.connectPath(path), "PROXY UNKNOWN\r\n"), "");
});

test("a header that arrives byte by byte, and a request after it", async () => {
  const client = await RawClient.connect(trusting);
  for (const byte of TEXT) await client.send(byte);
  strictEqual(await recorded(client, ""), "192.0.2.7");
});

test("a proxy that is not trusted is cut off, whatever it says", async () => {
  strictEqual(await recorded(await RawClient.connect(strict), HEADER), null);
  strictEqual(await recorded(await RawClient.connect(strict), TEXT), null);
  strictEqual(await recorded(await RawClient.connect(strict), ""), null);
});

test("a trusted peer that sends no header, or half of something else, is cut off", async () => {
  strictEqual(await recorded(await RawClient.connect(trusting), ""), null);
  strictEqual(await recorded(await RawClient.connect(trusting), "PROXY TCP5 a b c d\r\n"), null);
});

test("where no proxy is expected, its header changes no address", async () => {
  strictEqual(await recorded(await RawClient.connect(plain), HEADER), "127.0.0.1");
});

test("a client behind a trusted proxy cannot add a header of its own", async () => {
  const twice = Buffer.concat([Buffer.from(TEXT), HEADER]);
  strictEqual(await recorded(await RawClient.connect(trusting), twice), null);
  const client = await RawClient.connect(trusting);
  await client.send(Buffer.concat([Buffer.from(TEXT), requestBytes()]));
  strictEqual((await client.response())?.status, 200);
  strictEqual(await recorded(client, HEADER), null);
});

test("the header comes before TLS", async () => {
  const raw = await RawClient.connect(secured);
  await raw.send(HEADER);
  const socket = connectTls({ socket: raw.socket, servername: "localhost", ca: TEST_CA });
  strictEqual(await recorded(new RawClient(socket), ""), "2001:db8::9");
});

test("nor can a client inside of TLS add one", async () => {
  const raw = await RawClient.connect(secured);
  await raw.send(HEADER);
  const socket = connectTls({ socket: raw.socket, servername: "localhost", ca: TEST_CA });
  strictEqual(await recorded(new RawClient(socket), proxyHeaderFor(Buffer.alloc(16, 1))), null);
});

test("a stream arrives whole behind a proxy", async () => {
  const client = await RawClient.connect(trusting);
  await client.send(Buffer.concat([HEADER, requestBytes({ body: STREAM_BODY })]));
  const response = await client.response();
  strictEqual(response?.complete, true);
  strictEqual(response?.body.toString().endsWith("data: [DONE]\n\n"), true);
  client.leave();
});

test("a connection that says nothing is closed: without a header, a handshake or a request", async () => {
  const silent = [await RawClient.connect(trusting), await RawClient.connect(secured)];
  const announced = await RawClient.connect(secured);
  await announced.send(HEADER);
  const shaken = await RawClient.connect(secured);
  await shaken.send(HEADER);
  const socket = connectTls({ socket: shaken.socket, servername: "localhost", ca: TEST_CA });
  await within("a handshake", once(socket, "secureConnect"));
  const ends = [...silent, announced, new RawClient(socket)].map((client) => client.close());
  strictEqual((await Promise.all(ends)).length, 4);
});

test("a reload changes who is trusted, for new connections", async () => {
  const before = await RawClient.connect(trusting);
  await before.send(Buffer.concat([Buffer.from(TEXT), requestBytes()]));
  strictEqual((await before.response())?.status, 200);
  await sluice.configureText((await readFile(sluice.configFile, "utf8")).replaceAll("127.0.0.0/8", "192.0.2.1"));
  sluice.signal("SIGHUP");
  const refused = async () => (await recorded(await RawClient.connect(trusting), TEXT)) === null;
  await until("it is trusted no more", refused);
  strictEqual((await before.ask(requestBytes())).status, 200);
  before.leave();
});
