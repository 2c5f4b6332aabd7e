/** Connections that come to no request at a front: each is counted by its reason, once, and the log says so now and then. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { freePort } from "../../native-bench/contestants/free-port.ts";
import { GREETINGS_MAX } from "../../src/base/limits.ts";
import { REFUSALS, type Refusal } from "../../src/base/refusals.ts";
import { proxyHeaderFor } from "../../src/http/proxy-header.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { startStage } from "../support/stage.ts";
import { until, within } from "../support/until.ts";

const FIXTURES = new URL("../fixtures/tls/", import.meta.url).pathname;
const fixture = (name: string) => readFileSync(`${FIXTURES}test-only-${name}.pem`, "utf8");
const [trusting, strict, secured, guarded, plain] = [
  await freePort(),
  await freePort(),
  await freePort(),
  await freePort(),
  await freePort(),
];
const tls = { cert_file: `${FIXTURES}test-only-server.pem`, key_file: `${FIXTURES}test-only-server.key.pem` };
const { sluice } = await startStage(() => ({
  workers: 1,
  listen: [
    `127.0.0.1:${plain}`,
    { address: `127.0.0.1:${trusting}`, proxy_protocol: { trusted: ["127.0.0.1"] } },
    { address: `127.0.0.1:${strict}`, proxy_protocol: { trusted: ["192.0.2.0/24"] } },
    { address: `127.0.0.1:${secured}`, tls },
    { address: `127.0.0.1:${guarded}`, tls: { ...tls, client_ca_file: `${FIXTURES}test-only-second-ca.pem` } },
  ],
}));

const KNOWN: ConnectionOptions = { host: "127.0.0.1", servername: "localhost", ca: fixture("ca") };
const STRANGER = { cert: fixture("server"), key: fixture("server.key") };

type Counts = Partial<Record<Refusal, number>>;

async function counts(): Promise<Counts> {
  const all = REFUSALS.map(
    async (reason) => [reason, await sluice.metric("sluice_connections_refused_total", { reason })] as const,
  );
  return Object.fromEntries((await Promise.all(all)).filter(([, count]) => count > 0));
}

/** Does `act`, and waits until so many more are counted; nothing else may be. */
async function refuses(expected: Counts, act: () => Promise<unknown>): Promise<void> {
  const before = await counts();
  await act();
  const sums = Object.entries(expected).map(([reason, count]) => [reason, count + (before[reason as Refusal] ?? 0)]);
  const [reason = "", sum = 0] = sums[0] ?? [];
  const enough = async () => ((await counts())[reason as Refusal] ?? 0) >= Number(sum);
  await until(`${reason} is counted`, enough);
  deepStrictEqual(await counts(), { ...before, ...Object.fromEntries(sums) });
}

/** Connects and sends; resolves when the connection is closed. */
async function closed(port: number, bytes: Buffer | string = ""): Promise<void> {
  const client = await RawClient.connect(port);
  await client.send(bytes);
  await client.close();
}

/** A handshake, and the end of its connection. */
async function shaken(port: number, options: ConnectionOptions): Promise<void> {
  const socket = connectTls({ port, ...KNOWN, ...options });
  socket.on("error", () => socket.destroy());
  await within("the end of the connection", new Promise((resolve) => socket.on("close", resolve)));
}

async function logged(...texts: readonly string[]): Promise<void> {
  await until(`the log has a line with ${texts.join(", ")}`, () =>
    sluice.log.split("\n").some((line) => texts.every((text) => line.includes(text))),
  );
}

test("a peer that is no trusted proxy, and the log names it once", async () => {
  await refuses({ untrusted_peer: 3 }, async () => {
    for (let i = 0; i < 3; i += 1) await closed(strict, proxyHeaderFor(Buffer.alloc(16, 1)));
  });
  await logged('"reason":"untrusted_peer"', '"detail":"127.0.0.1"', `"listen":"127.0.0.1:${strict}"`, '"count":1');
  strictEqual(sluice.log.split('"reason":"untrusted_peer"').length, 2);
});

test("no PROXY header, and a bad one", async () => {
  await refuses({ proxy_header: 2 }, async () => {
    await closed(trusting, requestBytes());
    await closed(trusting, "PROXY TCP5 a b c d\r\n");
  });
  match(sluice.log, /"reason":"proxy_header"/);
});

test("what is no TLS, an old version, and another protocol", async () => {
  await refuses({ tls_handshake: 3 }, async () => {
    await closed(secured, requestBytes());
    await shaken(secured, { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "ALL@SECLEVEL=0" });
    await shaken(secured, { ALPNProtocols: ["h2"] });
  });
  await logged('"reason":"tls_handshake"', '"detail":"ERR_SSL_HTTP_REQUEST"');
});

test("clients without a certificate, and with another authority's", async () => {
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    await refuses({ client_certificate: 2 }, async () => {
      await shaken(guarded, { maxVersion });
      await shaken(guarded, { maxVersion, ...STRANGER });
    });
  }
  await logged('"reason":"client_certificate"', '"detail":"ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE"');
});

test("a client behind a trusted proxy that adds a header of its own", async () => {
  await refuses({ proxy_header: 1 }, async () => {
    const header = proxyHeaderFor(Buffer.alloc(16, 1));
    const client = await RawClient.connect(trusting);
    strictEqual((await client.ask(Buffer.concat([header, requestBytes()]))).status, 200);
    await client.send(Buffer.concat([header, requestBytes()]));
    await client.close();
  });
});

test("clients that leave by themselves are not refused", async () => {
  const before = await counts();
  for (const port of [trusting, secured]) {
    const client = await RawClient.connect(port);
    client.leave();
    await client.close();
  }
  const half = await RawClient.connect(trusting);
  await half.send("PROXY TCP4 ");
  half.leave();
  const answered = await RawClient.connectTls(secured, KNOWN);
  strictEqual((await answered.ask(requestBytes())).status, 200);
  answered.leave();
  deepStrictEqual(await counts(), before);
});

test("a header, a handshake or a first byte that does not come in time, also one that comes byte by byte", async () => {
  await refuses({ proxy_header_timeout: 2, tls_handshake_timeout: 2, first_byte_timeout: 2 }, async () => {
    const [slow, slowShake] = [await RawClient.connect(trusting), await RawClient.connect(secured)];
    const announced = await RawClient.connect(trusting);
    await announced.send(proxyHeaderFor(Buffer.alloc(16, 1)));
    const silent = [await RawClient.connect(trusting), await RawClient.connect(secured), announced];
    silent.push(await RawClient.connectTls(secured, KNOWN));
    // A version 2 header, and a record with the beginning of a ClientHello, that are announced as long as they may be.
    await slow.send(Buffer.from("\r\n\r\n\0\r\nQUIT\n\x21\x11\x0f\x00", "latin1"));
    await slowShake.send(Buffer.from("16030140000100", "hex"));
    const ends = Promise.all(silent.map((client) => client.close()));
    await until("those that send a byte now and then are cut, too", async () => {
      await Promise.all([slow, slowShake].map((client) => client.send("\0")));
      return slow.socket.destroyed && slowShake.socket.destroyed;
    });
    await ends;
  });
});

test("more silent connections than there may be: one of them goes, and the others are served", async () => {
  const crowd: RawClient[] = [];
  await refuses({ connection_limit: 1 }, async () => {
    for (let i = 0; i < GREETINGS_MAX / 64; i += 1)
      crowd.push(...(await Promise.all(Array.from({ length: 64 }, () => RawClient.connect(trusting)))));
    crowd.push(await RawClient.connect(trusting));
  });
  // The first or the last one, by how long the crowd took to come: test/unit/refusals.test.ts.
  const one = crowd[GREETINGS_MAX / 2];
  if (one === undefined) throw new Error("a crowd is expected");
  await one.send(Buffer.concat([proxyHeaderFor(Buffer.alloc(16, 1)), requestBytes()]));
  strictEqual((await one.response())?.status, 200);
  for (const client of crowd) client.leave();
});

test("a worker without descriptors says so", async () => {
  const [worker = 0] = sluice.workerPids();
  // Opens what a request needs upstream.
  const warm = await RawClient.connect(plain);
  strictEqual((await warm.ask(requestBytes())).status, 200);
  const before = readdirSync(`/proc/${worker}/fd`).length;
  const client = await RawClient.connect(trusting);
  await until("the connection is accepted", () => readdirSync(`/proc/${worker}/fd`).length > before);
  const [, limit = ""] = /^Max open files +(\d+)/m.exec(readFileSync(`/proc/${worker}/limits`, "latin1")) ?? [];
  const open = new Set(readdirSync(`/proc/${worker}/fd`).map(Number));
  const free = Array.from({ length: open.size + 1 }, (_, number) => number).find((number) => !open.has(number));
  await refuses({ exhausted: 1 }, async () => {
    execFileSync("prlimit", [`--pid=${worker}`, `--nofile=${free}:`]);
    await client.send(Buffer.concat([proxyHeaderFor(Buffer.alloc(16, 1)), requestBytes()]));
    await client.close();
    execFileSync("prlimit", [`--pid=${worker}`, `--nofile=${limit}:`]);
  });
  await logged('"reason":"exhausted"', '"detail":"EMFILE"');
});

test("no line of it has a key, and each kind has had its line", () => {
  strictEqual(sluice.log.includes("PRIVATE KEY"), false);
  const kinds = new Set([...sluice.log.matchAll(/"reason":"(\w+)"/g)].map(([, reason]) => reason));
  deepStrictEqual([...kinds].sort(), [...REFUSALS].sort());
});
