/** Connections behind a front, in numbers, in one piece, and with clients that do not read. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { freePort } from "../../native-bench/contestants/free-port.ts";
import { bigBytes, sha256Of } from "../support/mock/big-body.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes, STREAM_BODY } from "../support/raw-request.ts";
import { headerOf } from "../support/raw-response.ts";
import { startStage } from "../support/stage.ts";
import { until } from "../support/until.ts";
import { TEST_CA } from "../support/upstream.ts";

const FIXTURES = new URL("../fixtures/tls/", import.meta.url).pathname;
const tls = { cert_file: `${FIXTURES}test-only-server.pem`, key_file: `${FIXTURES}test-only-server.key.pem` };
const [trusting, secured, both, plain] = [await freePort(), await freePort(), await freePort(), await freePort()];
const trusted = { trusted: ["127.0.0.1"] };
const { sluice, upstream } = await startStage(() => ({
  workers: 1,
  listen: [
    { address: `127.0.0.1:${trusting}`, proxy_protocol: trusted },
    { address: `127.0.0.1:${secured}`, tls },
    { address: `127.0.0.1:${both}`, tls, proxy_protocol: trusted },
    `127.0.0.1:${plain}`,
  ],
}));
const HEADER = "PROXY TCP4 192.0.2.7 127.0.0.1 40000 8081\r\n";
const CROWD = 1_000;

function descriptors(): number {
  const [worker = 0] = sluice.workerPids();
  return readdirSync(`/proc/${worker}/fd`).length;
}

function residentKb(): number {
  const [worker = 0] = sluice.workerPids();
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${worker}/status`, "latin1"))?.[1]);
}

async function proxied(): Promise<RawClient> {
  const client = await RawClient.connect(trusting);
  await client.send(HEADER);
  return client;
}
const shaken = () => RawClient.connectTls(secured, { ca: TEST_CA });
const KINDS = { "a PROXY header": proxied, TLS: shaken };

test("a thousand connections that begin in one moment are all answered", async () => {
  const clients = await Promise.all(Array.from({ length: CROWD }, () => RawClient.connect(trusting)));
  const [worker = 0] = sluice.workerPids();
  process.kill(worker, "SIGSTOP");
  const request = requestBytes({ method: "GET", target: "/v1/models", body: "" });
  await Promise.all(clients.map((client) => client.send(Buffer.concat([Buffer.from(HEADER), request]))));
  process.kill(worker, "SIGCONT");
  const answers = await Promise.all(clients.map((client) => client.response()));
  const statuses = new Set(answers.map((answer) => answer?.status));
  for (const client of clients) client.leave();
  deepStrictEqual(statuses, new Set([200]));
  strictEqual(await sluice.metric("sluice_connections_refused_total"), 0);
});

test("a PROXY header, a handshake's first message and nothing between them, in one segment", async () => {
  const raw = await RawClient.connect(both);
  let header = HEADER;
  const wire = new Duplex({
    read: () => {},
    write: (chunk, _, done) => {
      raw.socket.write(header === "" ? chunk : Buffer.concat([Buffer.from(header), chunk]), () => done());
      header = "";
    },
  });
  raw.socket.on("data", (chunk: Buffer) => wire.push(chunk));
  const client = new RawClient(connectTls({ socket: wire, servername: "localhost", ca: TEST_CA }));
  const answer = await client.ask(requestBytes());
  strictEqual(answer.status, 200);
  const id = headerOf(answer, "x-request-id") ?? "";
  const line = await until("the line is in the access log", async () =>
    (await sluice.accessLogText()).split("\n").find((text) => text.includes(id)),
  );
  strictEqual(JSON.parse(line).client_address, "192.0.2.7");
  client.leave();
  raw.leave();
});

for (const [kind, connect] of Object.entries(KINDS)) {
  test(`${kind}: a client that reads late gets all of its answer, and then the end`, async () => {
    const client = await connect();
    client.socket.pause();
    const target = "/v1/files/file-1/content";
    const headers = { connection: "close", "x-mock": "big-body=10" };
    await client.send(requestBytes({ method: "GET", target, headers, body: "" }));
    await until("the request runs", async () => (await sluice.metric("sluice_requests_in_flight")) === 1);
    client.socket.resume();
    const answer = await client.response();
    const received = createHash("sha256")
      .update(answer?.body ?? "")
      .digest("hex");
    strictEqual(received, sha256Of(bigBytes(10)));
    await client.close();
  });

  test(`${kind}: an answer before the end of a body arrives`, async () => {
    const client = await connect();
    const body = Buffer.alloc(4_000_000, "x");
    await client.send(requestBytes({ headers: { authorization: "Bearer sk-wrong" }, body }));
    strictEqual((await client.response())?.status, 401);
    client.leave();
  });

  test(`${kind}: a client that closes its side in the middle of a stream ends it, as at a plain listener`, async () => {
    const client = await connect();
    await client.send(requestBytes({ body: STREAM_BODY, headers: { "x-mock": "hold=half" } }));
    await client.sees("data: ");
    client.socket.end();
    await upstream.waitFor("the upstream sees the abort", ({ requests }) => requests.at(-1)?.state === "aborted");
    await client.close();
  });
}

test("clients that do not read are cut, what is held for them is bounded, and all of their connections end", async () => {
  await until("nothing runs", async () => (await sluice.metric("sluice_requests_in_flight")) === 0);
  const [descriptorsBefore, beforeKb] = [descriptors(), residentKb()];
  const ways = Array.from({ length: 5 }, () => Object.values(KINDS)).flat();
  const clients = await Promise.all(ways.map((connect) => connect()));
  const target = "/v1/files/file-1/content";
  for (const client of clients) {
    client.socket.pause();
    await client.send(requestBytes({ method: "GET", target, headers: { "x-mock": "big-body=100" }, body: "" }));
  }
  const inFlight = () => sluice.metric("sluice_requests_in_flight");
  await until("they run", async () => (await inFlight()) === clients.length);
  const over = async () => (await inFlight()) === 0 && descriptors() <= descriptorsBefore;
  await until("their connections are closed, all that there were", over, 60_000);
  const grownKb = residentKb() - beforeKb;
  for (const client of clients) client.leave();
  strictEqual(grownKb < 200_000, true, `${grownKb} KB`);
});
