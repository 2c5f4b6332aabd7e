/** Native connections to providers over TLS, driven through the binding against Node's TLS server. */
import { deepStrictEqual, match, notStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { after, type TestContext, test } from "node:test";
import { DEFAULT_CIPHERS, rootCertificates, type TLSSocket, type TlsOptions } from "node:tls";
import { native } from "../../src/native/native.ts";
import {
  CAUSE_CERTIFICATE,
  CAUSE_PEER,
  CAUSE_PROTOCOL,
  CAUSE_SYSTEM,
  CAUSE_TLS,
  FLAG_CLOSE_DELIMITED,
} from "../../src/native/upstream.ts";
import { deliveries, Link } from "../support/native-upstream.ts";
import { answering, RawServer, type RawServerOptions } from "../support/raw-server.ts";
import { until } from "../support/until.ts";

const VERSIONS = ["TLSv1.2", "TLSv1.3"] as const;
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const FIVE_MB = 5_000_000;

const pem = (name: string) => readFileSync(new URL(`../fixtures/tls/test-only-${name}.pem`, import.meta.url), "utf8");
const CA = pem("ca");
const SERVER: TlsOptions = { cert: pem("server"), key: pem("server.key") };
const own = (name: string): TlsOptions => ({ cert: pem(name), key: pem("second-server.key") });

/** A context of its own, so that no session of another test is resumed. */
function contextOf(t: TestContext, ca = CA, certificate = "", key = ""): number {
  const context = native.upstreamTls(ca, certificate, key, DEFAULT_CIPHERS);
  t.after(() => native.upstreamTlsClose(context));
  return context;
}

function serverOf(t: TestContext, tls: TlsOptions, options: RawServerOptions = {}): Promise<RawServer> {
  return RawServer.open(t, { tls: { ...SERVER, ...tls }, ...options });
}

after(() => strictEqual(native.upstreamConnections(), 0));

for (const maxVersion of VERSIONS) {
  test(`${maxVersion}: requests and responses, in one call each`, async (t) => {
    const seen: string[] = [];
    const onSocket = (socket: TLSSocket) => {
      seen.push(`${socket.getProtocol()} ${String(socket.servername)} ${String(socket.alpnProtocol)}`);
      answering(OK)(socket);
    };
    const server = await serverOf(
      t,
      { maxVersion, ALPNProtocols: ["h2", "http/1.1"] },
      { onSocket: onSocket as never },
    );
    const link = new Link({ port: server.port, context: contextOf(t) });
    deepStrictEqual(await link.next("connected"), { kind: "connected", resumed: false });
    for (let i = 0; i < 3; i += 1) {
      const before = deliveries();
      link.post(Buffer.from("hello"));
      strictEqual((await link.response()).body.toString(), "ok");
      strictEqual(deliveries(), before + 1);
    }
    deepStrictEqual(seen, [`${maxVersion} localhost http/1.1`]);
    link.close();
  });

  test(`${maxVersion}: sessions are resumed, as the server sees it, also many at a time; another name has its own`, async (t) => {
    const reused: boolean[] = [];
    const onSocket = (socket: TLSSocket) => {
      reused.push(socket.isSessionReused());
      answering(OK)(socket);
    };
    const server = await serverOf(t, { maxVersion }, { onSocket: onSocket as never });
    const context = contextOf(t);
    const connect = async (serverName = "localhost") => {
      const link = new Link({ port: server.port, context, serverName });
      link.get();
      const { resumed } = await link.next("connected");
      await link.response();
      return { link, resumed };
    };
    const first = await connect();
    const others = await Promise.all(Array.from({ length: 20 }, () => connect()));
    const named = await connect("127.0.0.1");
    deepStrictEqual(
      [first, ...others, named].map(({ resumed }) => resumed),
      [false, ...Array<boolean>(20).fill(true), false],
    );
    deepStrictEqual(reused.map(Number).sort(), [0, 0, ...Array<number>(20).fill(1)]);
    for (const { link } of [first, ...others, named]) link.close();
    // Also after all of them were closed, and by tickets that came on resumed connections.
    for (let i = 0; i < 5; i += 1) {
      const { link, resumed } = await connect();
      strictEqual(resumed, true);
      link.close();
    }
  });

  test(`${maxVersion}: a request that waits for the handshake, and 5 MB both ways`, async (t) => {
    const request = Buffer.alloc(FIVE_MB, "0123456789abcdefg");
    const response = Buffer.alloc(FIVE_MB, "the answer is long ");
    const received: Buffer[] = [];
    const total = () => received.reduce((sum, part) => sum + part.length, 0);
    const server = await serverOf(t, { maxVersion }, { pauseOnConnect: false });
    const link = new Link({ port: server.port, context: contextOf(t) });
    link.post(request);
    const socket = await server.socket();
    socket.on("data", (chunk) => received.push(chunk));
    await until("all of it came", () => total() > FIVE_MB);
    ok(Buffer.concat(received).subarray(-FIVE_MB).equals(request));
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${FIVE_MB}\r\n\r\n`);
    socket.write(response);
    let pauses = 0;
    link.onTold = ({ kind }) => {
      if (kind !== "body" || pauses === 5) return;
      pauses += 1;
      link.pause(true);
      setImmediate(() => link.pause(false));
    };
    const { body, reusable } = await link.response();
    ok(body.equals(response));
    deepStrictEqual([reusable, pauses], [true, 5]);
    link.close();
  });

  test(`${maxVersion}: a certificate of the client's, which is demanded`, async (t) => {
    const demanding = { maxVersion, ca: pem("second-ca"), requestCert: true, rejectUnauthorized: true };
    const server = await serverOf(t, demanding, { onSocket: answering(OK) });
    const shown = new Link({ port: server.port, context: contextOf(t, CA, pem("client"), pem("client.key")) });
    shown.get();
    strictEqual((await shown.response()).body.toString(), "ok");
    shown.close();
    const without = new Link({ port: server.port, context: contextOf(t) });
    without.get();
    // In TLS 1.3 the client is through before the server has looked.
    const refused = await without.next(maxVersion === "TLSv1.3" ? "fail" : "connect failed");
    strictEqual(refused.cause, CAUSE_TLS);
    match(native.upstreamReason(refused.cause, refused.detail), /alert/);
  });
}

test("certificates that are not accepted, each for its reason", async (t) => {
  const cases: readonly [string, TlsOptions, string, string, RegExp][] = [
    [
      "an unknown authority",
      SERVER,
      pem("second-ca"),
      "localhost",
      /unable to (get local issuer|verify the first) certificate/,
    ],
    ["self-signed", own("named"), CA, "one.sluice.test", /self-signed certificate/],
    ["expired", own("expired"), pem("expired"), "Sluice test-only expired", /certificate has expired/],
    ["another name", SERVER, CA, "example.com", /hostname mismatch/i],
    ["another address", SERVER, CA, "127.0.0.2", /IP address mismatch/i],
    ["a name below the star's", own("wildcard"), pem("wildcard"), "a.b.sluice.test", /hostname mismatch/i],
    ["none of the public authorities", SERVER, rootCertificates.join("\n"), "localhost", /issuer|verify/],
  ];
  for (const [what, tls, ca, serverName, reason] of cases) {
    const server = await serverOf(t, tls);
    const link = new Link({ port: server.port, context: contextOf(t, ca), serverName });
    link.get();
    const failed = await link.next("connect failed");
    deepStrictEqual([failed.cause, failed.handshake], [CAUSE_CERTIFICATE, true], what);
    match(native.upstreamReason(failed.cause, failed.detail), reason, what);
    strictEqual(server.sockets.length, 0, what);
  }
});

test("certificates that are accepted: by address, by a star, by themselves", async (t) => {
  const cases: readonly [TlsOptions, string, string, string | false][] = [
    [SERVER, CA, "127.0.0.1", false],
    [SERVER, CA, "LOCALHOST", "LOCALHOST"],
    [own("wildcard"), pem("wildcard"), "any.sluice.test", "any.sluice.test"],
    [own("named"), `${CA}\n${pem("named")}`, "one.sluice.test", "one.sluice.test"],
    [SERVER, `${rootCertificates.join("\n")}\n${CA}`, "localhost", "localhost"],
  ];
  for (const [tls, ca, serverName, indicated] of cases) {
    const server = await serverOf(t, tls, { onSocket: answering(OK) });
    const link = new Link({ port: server.port, context: contextOf(t, ca), serverName });
    link.get();
    strictEqual((await link.response()).body.toString(), "ok");
    // An address is no name that a client may indicate (RFC 6066 3).
    strictEqual(((await server.socket()) as TLSSocket).servername, indicated);
    link.close();
  }
});

test("a name that is none is not accepted", async (t) => {
  const server = await serverOf(t, {});
  const link = new Link({ port: server.port, context: contextOf(t), serverName: "" });
  deepStrictEqual((await link.next("connect failed")).cause, CAUSE_TLS);
  throws(() => new Link({ port: server.port, context: contextOf(t), serverName: "localhost\0.evil" }), /no name/);
});

test("versions below 1.2 are refused", async (t) => {
  const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
  const server = await serverOf(t, old);
  const failed = await new Link({ port: server.port, context: contextOf(t) }).next("connect failed");
  deepStrictEqual([failed.cause, failed.handshake], [CAUSE_TLS, true]);
});

test("a handshake with somebody who speaks no TLS, says nothing, ends or resets", async (t) => {
  const server = await RawServer.open(t);
  const context = contextOf(t);
  const links = Array.from({ length: 4 }, () => new Link({ port: server.port, context }));
  const [talks, ends, resets, waits] = links;
  const sockets = await Promise.all(links.map((_, i) => server.socket(i)));
  for (const socket of sockets) socket.resume();
  sockets[0]?.write("HTTP/1.1 400 Bad Request\r\n\r\n");
  sockets[1]?.end();
  await until("it has said hello", () => (sockets[2]?.bytesRead ?? 0) > 0);
  sockets[2]?.resetAndDestroy();
  const causes = await Promise.all([talks, ends, resets].map((link) => link?.next("connect failed")));
  deepStrictEqual(
    causes.map((one) => [one?.cause, one?.handshake]),
    [
      [CAUSE_TLS, true],
      [CAUSE_PEER, true],
      [CAUSE_SYSTEM, true],
    ],
  );
  strictEqual(causes[2]?.detail, constants.errno.ECONNRESET);
  match(native.upstreamReason(CAUSE_TLS, causes[0]?.detail ?? 0), /version|record|packet|request/);
  waits?.close();
  deepStrictEqual(waits?.told, []);
});

test("a body that the end delimits is whole only with close_notify", async (t) => {
  const text = "HTTP/1.1 200 OK\r\n\r\nall of it";
  const whole = await serverOf(t, {}, { onSocket: (socket) => socket.once("data", () => socket.end(text)) });
  const link = new Link({ port: whole.port, context: contextOf(t) });
  link.get();
  const { head, body, reusable } = await link.response();
  deepStrictEqual([head.flags, body.toString(), reusable], [FLAG_CLOSE_DELIMITED, "all of it", false]);
  const cutting = await serverOf(t, {});
  const cut = new Link({ port: cutting.port, context: contextOf(t) });
  cut.get();
  const socket = await cutting.socket();
  socket.write(text);
  await cut.next("body");
  // The TCP connection ends in order, below TLS.
  const [plain] = cutting.connections;
  plain?.end();
  const failed = await cut.next("fail");
  deepStrictEqual([failed.cause, failed.answered], [CAUSE_PEER, true]);
});

test("what an idle connection is told: the end, and what nobody asked for", async (t) => {
  const server = await serverOf(t, {});
  const context = contextOf(t);
  const ends = new Link({ port: server.port, context });
  await ends.next("connected");
  (await server.socket(0)).end();
  strictEqual((await ends.next("closed")).cause, CAUSE_PEER);
  const talks = new Link({ port: server.port, context });
  await talks.next("connected");
  (await server.socket(1)).write(OK);
  strictEqual((await talks.next("closed")).cause, CAUSE_PROTOCOL);
});

test("bytes that were changed on the way end the connection", async (t) => {
  const server = await serverOf(t, {});
  const link = new Link({ port: server.port, context: contextOf(t) });
  await link.next("connected");
  link.get();
  await once(await server.socket(), "data");
  server.connections[0]?.write(Buffer.from("1703030020".padEnd(74, "0"), "hex"));
  const failed = await link.next("fail");
  strictEqual(failed.cause, CAUSE_TLS);
  notStrictEqual(native.upstreamReason(failed.cause, failed.detail), "unknown");
});

test("closing says goodbye, in every state", async (t) => {
  const server = await serverOf(t, {});
  const context = contextOf(t);
  new Link({ port: server.port, context }).close();
  const idle = new Link({ port: server.port, context });
  await idle.next("connected");
  // Without close_notify this would not be an end, but an error of the server's.
  const ended = once((await server.socket(0)).resume(), "end");
  idle.close();
  await ended;
  const sending = new Link({ port: server.port, context });
  await sending.next("connected");
  sending.post(Buffer.alloc(FIVE_MB));
  sending.close();
  const inside = new Link({ port: server.port, context });
  inside.onTold = () => native.upstreamClose(inside.id);
  inside.get();
  await inside.next("connected");
  strictEqual(native.upstreamConnections(), 0);
});

test("a context that is closed goes on for the connections that have it", async (t) => {
  const server = await serverOf(t, {}, { onSocket: answering(OK) });
  const context = native.upstreamTls(CA, "", "", DEFAULT_CIPHERS);
  const link = new Link({ port: server.port, context });
  native.upstreamTlsClose(context);
  throws(() => new Link({ port: server.port, context }), /this TLS context is not open/);
  link.get();
  strictEqual((await link.response()).body.toString(), "ok");
  link.close();
});

test("ciphers: both versions, one of them, or none that is known", async (t) => {
  const protocols: (string | null)[] = [];
  const onSocket = (socket: TLSSocket) =>
    void protocols.push(`${socket.getProtocol()} ${socket.getCipher().standardName}`);
  const server = await serverOf(t, {}, { onSocket: onSocket as never });
  const [suite, other] = ["TLS_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"];
  for (const ciphers of [`${other}:${suite}`, other, `${suite}:TLS_AES_256_GCM_SHA384`]) {
    const context = native.upstreamTls(CA, "", "", ciphers);
    t.after(() => native.upstreamTlsClose(context));
    const link = new Link({ port: server.port, context });
    await link.next("connected");
    link.close();
  }
  await until("all are known", () => protocols.length === 3);
  const standard = "TLSv1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
  deepStrictEqual(protocols.toSorted(), [standard, `TLSv1.3 ${suite}`, "TLSv1.3 TLS_AES_256_GCM_SHA384"].toSorted());
  for (const ciphers of ["nothing", "TLS_NOTHING", "ECDHE-ECDSA-AES256-GCM-SHA384:TLS_NOTHING"])
    throws(() => native.upstreamTls(CA, "", "", ciphers), /the ciphers are not known/);
});

test("PEM that cannot be read", () => {
  const client = [pem("client"), pem("client.key")] as const;
  const broken = CA.replace(/[A-Za-z]{20}/, "!".repeat(20));
  for (const ca of ["", "nothing", broken, `${CA}${broken}`]) {
    throws(() => native.upstreamTls(ca, "", "", DEFAULT_CIPHERS), /the certificate authorities cannot be read/);
  }
  throws(() => native.upstreamTls(CA, "nothing", client[1], DEFAULT_CIPHERS), /the client certificate cannot be read/);
  throws(() => native.upstreamTls(CA, client[0], "", DEFAULT_CIPHERS), /private key cannot be read/);
  throws(() => native.upstreamTls(CA, client[0], pem("server.key"), DEFAULT_CIPHERS), /private key/);
});
