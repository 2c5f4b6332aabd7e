/** TLS: versions, certificates that a reload replaces, and clients that must have one. */
import { match, rejects, strictEqual } from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { freePort } from "../../native-bench/contestants/free-port.ts";
import { bigBytes, sha256Of } from "../support/mock/big-body.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes, STREAM_BODY } from "../support/raw-request.ts";
import { startStage } from "../support/stage.ts";
import { until } from "../support/until.ts";

const FIXTURES = new URL("../fixtures/tls/", import.meta.url).pathname;
const directory = mkdtempSync(join(tmpdir(), "sluice-tls-"));
after(() => rmSync(directory, { recursive: true }));
const cert = join(directory, "cert.pem");
const key = join(directory, "key.pem");

function install(name: "server" | "second-server"): void {
  copyFileSync(`${FIXTURES}test-only-${name}.pem`, cert);
  copyFileSync(`${FIXTURES}test-only-${name}.key.pem`, key);
}

const fixture = (name: string) => readFileSync(`${FIXTURES}test-only-${name}.pem`, "utf8");
const FIRST: ConnectionOptions = { ca: fixture("ca") };
const SECOND: ConnectionOptions = { ca: fixture("second-ca") };
const CLIENT: ConnectionOptions = { ...FIRST, cert: fixture("client"), key: fixture("client.key") };
/** Signed by another authority than the one that the listener trusts. */
const STRANGER: ConnectionOptions = { ...FIRST, cert: fixture("server"), key: fixture("server.key") };

/** A certificate for names in the place of the one that is there. */
const namedCert = join(directory, "named.pem");
const NAMES_KEY = `${FIXTURES}test-only-second-server.key.pem`;
const installNamed = (name: "named" | "wildcard") => copyFileSync(`${FIXTURES}test-only-${name}.pem`, namedCert);

install("server");
installNamed("named");
const [port, guarded] = [await freePort(), await freePort()];
const tls = {
  cert_file: cert,
  key_file: key,
  certificates: [
    { names: ["*.sluice.test"], cert_file: `${FIXTURES}test-only-wildcard.pem`, key_file: NAMES_KEY },
    { names: ["one.sluice.test", "two.sluice.test"], cert_file: namedCert, key_file: NAMES_KEY },
  ],
};
const { sluice, upstream } = await startStage(() => ({
  listen: [
    { address: `127.0.0.1:${port}`, tls },
    { address: `127.0.0.1:${guarded}`, tls: { ...tls, client_ca_file: `${FIXTURES}test-only-second-ca.pem` } },
  ],
}));

async function statusWith(options: ConnectionOptions, at = port): Promise<number> {
  const client = await RawClient.connectTls(at, options);
  await client.send(requestBytes());
  const response = await client.response();
  client.leave();
  return response?.status ?? 0;
}

/** Whose certificate a client is shown that asks for this name; empty: for none. */
async function subjectFor(servername: string, options: ConnectionOptions = {}, at = port): Promise<string> {
  const client = await RawClient.connectTls(at, { rejectUnauthorized: false, servername, ...options });
  const { subject } = (client.socket as TLSSocket).getPeerCertificate();
  strictEqual((await client.ask(requestBytes())).status, 200);
  client.leave();
  return String(subject.CN).replace("Sluice test-only ", "");
}

test("the certificate is that of the name: as it is, with a star, or the first one", async () => {
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    strictEqual(await subjectFor("one.sluice.test", { maxVersion }), "named");
    strictEqual(await subjectFor("ONE.Sluice.test", { maxVersion }), "named");
    strictEqual(await subjectFor("other.sluice.test", { maxVersion }), "wildcard");
    for (const stranger of ["a.b.sluice.test", "sluice.test", "localhost", ""])
      strictEqual(await subjectFor(stranger, { maxVersion }), "server");
  }
});

test("a client accepts the certificate for its name", async () => {
  const client = await RawClient.connectTls(port, { ca: fixture("named"), servername: "one.sluice.test" });
  strictEqual((await client.ask(requestBytes())).status, 200);
  client.leave();
});

test("only clients with a certificate get in by a name, too, also with a session of another name", async () => {
  const { cert: own, key: ownKey } = CLIENT;
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    strictEqual(await subjectFor("one.sluice.test", { maxVersion, cert: own, key: ownKey }, guarded), "named");
    await rejects(subjectFor("one.sluice.test", { maxVersion }, guarded));
    await rejects(subjectFor("one.sluice.test", { maxVersion, cert: STRANGER.cert, key: STRANGER.key }, guarded));
  }
  const open = await RawClient.connectTls(port, { ...FIRST, maxVersion: "TLSv1.2" });
  const session = (open.socket as TLSSocket).getSession();
  open.leave();
  await rejects(subjectFor("one.sluice.test", { session, maxVersion: "TLSv1.2" }, guarded));
});

test("HTTP/1.1 is the only protocol, for those who ask", async () => {
  const client = await RawClient.connectTls(port, { ...FIRST, ALPNProtocols: ["h2", "http/1.1"] });
  strictEqual((client.socket as TLSSocket).alpnProtocol, "http/1.1");
  strictEqual((await client.ask(requestBytes())).status, 200);
  client.leave();
});

test("a request, a second one on the same connection, and the client's address in the record", async () => {
  const client = await RawClient.connectTls(port, FIRST);
  strictEqual((await client.ask(requestBytes())).status, 200);
  const { status, headers } = await client.ask(requestBytes());
  strictEqual(status, 200);
  const id = new Map(headers).get("x-request-id") ?? "";
  await sluice.recordOf(id);
  const line = await until("the line is in the access log", async () =>
    (await sluice.accessLogText()).split("\n").find((text) => text.includes(id)),
  );
  strictEqual(JSON.parse(line).client_address, "127.0.0.1");
  client.leave();
});

test("an answer that ends its connection arrives whole, and the end behind it", async () => {
  const client = await RawClient.connectTls(port, FIRST);
  const headers = { connection: "close", "x-mock": "big-body=1" };
  const target = "/v1/files/file-1/content";
  const answer = await client.ask(requestBytes({ method: "GET", target, headers, body: "" }));
  strictEqual(answer.body.length, 1_048_576);
  await until("the gateway ends the connection", () => client.ended);
  client.leave();
});

test("TLS 1.2 and 1.3 are spoken, 1.1 is not", async () => {
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    const client = await RawClient.connectTls(port, { ...FIRST, minVersion: version, maxVersion: version });
    strictEqual((client.socket as TLSSocket).getProtocol(), version);
    client.leave();
  }
  const old = { ...FIRST, minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "ALL@SECLEVEL=0" } as const;
  await rejects(RawClient.connectTls(port, old), { code: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION" });
});

test("clear text at a TLS port costs the connection and nothing else", async () => {
  const client = await RawClient.connect(port);
  await client.send(requestBytes());
  strictEqual((await client.response())?.status, undefined);
  strictEqual(await statusWith(FIRST), 200);
});

test("large bodies arrive whole, up and down", async () => {
  const client = await RawClient.connectTls(port, FIRST);
  const body = randomBytes(8_000_000);
  const headers = { "content-type": "application/octet-stream" };
  strictEqual((await client.ask(requestBytes({ target: "/v1/uploads/u/parts", headers, body }))).status, 200);
  strictEqual((await upstream.lastRequest()).bodySha256, createHash("sha256").update(body).digest("hex"));
  const target = "/v1/files/file-1/content";
  const wish = { "x-mock": "big-body=10" };
  const answer = await client.ask(requestBytes({ method: "GET", target, headers: wish, body: "" }));
  strictEqual(createHash("sha256").update(answer.body).digest("hex"), sha256Of(bigBytes(10)));
  client.leave();
});

test("a client that leaves in the middle of a stream ends it upstream", async () => {
  const client = await RawClient.connectTls(port, FIRST);
  await client.send(requestBytes({ body: STREAM_BODY, headers: { "x-mock": "hold=leave" } }));
  await client.sees("data: ");
  client.leave();
  await upstream.waitFor("the upstream sees the abort", ({ requests }) => requests.at(-1)?.state === "aborted");
  await until("nothing is in flight", async () => (await sluice.metric("sluice_requests_in_flight")) === 0);
});

test("only a client whose certificate the authority signed gets an answer", async () => {
  strictEqual(await statusWith(CLIENT, guarded), 200);
  for (const stranger of [FIRST, STRANGER]) {
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      const status = await statusWith({ ...stranger, maxVersion }, guarded).catch(() => 0);
      strictEqual(status, 0);
    }
  }
  strictEqual((await sluice.metric("sluice_requests_total")) > 0, true);
});

test("a session that a client with a certificate began is not a way in without one", async () => {
  const client = await RawClient.connectTls(guarded, { ...CLIENT, maxVersion: "TLSv1.2" });
  strictEqual((await client.ask(requestBytes())).status, 200);
  const session = (client.socket as TLSSocket).getSession();
  client.leave();
  strictEqual(await statusWith({ ...STRANGER, maxVersion: "TLSv1.2" }, guarded).catch(() => 0), 0);
  // Its own client may resume it.
  strictEqual(await statusWith({ ...CLIENT, session, maxVersion: "TLSv1.2" }, guarded), 200);
});

test("a reload brings new certificates, and a stream on the old ones goes on", async () => {
  const stream = await RawClient.connectTls(port, FIRST);
  await stream.send(requestBytes({ body: STREAM_BODY, headers: { "x-mock": "hold=renewed" } }));
  await stream.sees("data: ");
  install("second-server");
  sluice.signal("SIGHUP");
  await until("the new certificate is shown", async () => (await statusWith(SECOND).catch(() => 0)) === 200);
  strictEqual(await statusWith({ ...SECOND, cert: CLIENT.cert, key: CLIENT.key }, guarded), 200);
  await rejects(RawClient.connectTls(port, FIRST), { code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" });
  await upstream.open("renewed");
  match((await stream.response())?.body.toString() ?? "", /data: \[DONE\]\n\n$/);
  strictEqual((await stream.ask(requestBytes())).status, 200);
  stream.leave();
});

test("a reload brings new certificates of names", async () => {
  strictEqual(await subjectFor("two.sluice.test"), "named");
  installNamed("wildcard");
  sluice.signal("SIGHUP");
  await until("the new one is shown", async () => (await subjectFor("two.sluice.test")) === "wildcard");
});

test("a key that does not fit is refused, and the certificates in force stay", async () => {
  copyFileSync(`${FIXTURES}test-only-server.key.pem`, key);
  sluice.signal("SIGHUP");
  await until("the refusal is logged", () => sluice.log.includes("this key does not belong"));
  strictEqual(await statusWith(SECOND), 200);
  strictEqual(sluice.log.includes("PRIVATE KEY"), false);
});

test("an expired certificate is served, and the log says so", async () => {
  copyFileSync(`${FIXTURES}test-only-expired.pem`, cert);
  copyFileSync(`${FIXTURES}test-only-second-server.key.pem`, key);
  sluice.signal("SIGHUP");
  await until("the log says so", () => sluice.log.includes("a certificate has expired"));
  await rejects(RawClient.connectTls(port, { ca: fixture("expired") }), { code: "CERT_HAS_EXPIRED" });
  strictEqual(await statusWith({ rejectUnauthorized: false }), 200);
});
