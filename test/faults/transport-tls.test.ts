/** TLS to providers, over both transports: who is trusted, what fails and how, sessions that are resumed, our own certificate. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer as createPlainServer, type Server, type Socket } from "node:net";
import { after, describe, test } from "node:test";
import { connect, createServer, type TlsOptions } from "node:tls";
import type { ProviderTls } from "../../src/config/snapshot.ts";
import { TRANSPORTS, type TransportKind } from "../support/transport-names.ts";
import { ANSWER, ask, GOOD, originOf } from "../support/transports.ts";
import { until } from "../support/until.ts";

function fixture(name: string): string {
  return readFileSync(new URL(`../fixtures/tls/test-only-${name}.pem`, import.meta.url), "utf8");
}

const CA = fixture("ca");
const OWN = { cert: fixture("server"), key: fixture("server.key") };
const SECOND_KEY = fixture("second-server.key");
const CLIENT = { certificates: fixture("client"), key: fixture("client.key") };

interface Provider {
  readonly port: number;
  /** Handshakes, and how many of them resumed a session. */
  readonly seen: { handshakes: number; resumed: number; clients: string[]; names: (string | false)[] };
  readonly sockets: Socket[];
}

async function listen(server: Server): Promise<number> {
  after(() => server.close());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** Answers every request. */
async function secure(options: TlsOptions = {}): Promise<Provider> {
  const seen: Provider["seen"] = { handshakes: 0, resumed: 0, clients: [], names: [] };
  const sockets: Socket[] = [];
  const server = createServer({ ...OWN, ...options }, (socket) => {
    seen.handshakes += 1;
    if (socket.isSessionReused()) seen.resumed += 1;
    seen.names.push(socket.servername ?? false);
    seen.clients.push(String(socket.getPeerCertificate().subject?.CN ?? ""));
    sockets.push(socket);
    socket.on("error", () => socket.destroy());
    socket.on("data", () => socket.write(ANSWER));
  });
  server.on("tlsClientError", () => undefined);
  return { port: await listen(server), seen, sockets };
}

async function plain(onConnection: (socket: Socket) => void): Promise<number> {
  const server = createPlainServer((socket) => {
    socket.on("error", () => socket.destroy());
    onConnection(socket);
  });
  return listen(server);
}

function holds(kind: TransportKind): void {
  const asked = async (port: number, tls: Partial<ProviderTls> = { ca: CA }, host = "127.0.0.1") => {
    const origin = originOf(kind, `https://${host}:${port}`, { tls });
    const heard = await ask(origin);
    origin.retire();
    return heard;
  };

  test("a certificate of an authority that was added, for an address and for a name", async () => {
    const { port, seen } = await secure();
    deepStrictEqual((await asked(port)).events, GOOD);
    deepStrictEqual((await asked(port, { ca: CA }, "localhost")).events, GOOD);
    // An address is never asked for by name (RFC 6066 3).
    deepStrictEqual(seen.names, [false, "localhost"]);
  });

  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    test(`${version}, and what follows on the same connection`, async () => {
      const { port, seen } = await secure({ minVersion: version, maxVersion: version });
      const origin = originOf(kind, `https://localhost:${port}`, { tls: { ca: CA } });
      for (let i = 0; i < 3; i += 1) deepStrictEqual((await ask(origin)).events, GOOD);
      origin.retire();
      strictEqual(seen.handshakes, 1);
    });

    test(`a new connection resumes a session (${version})`, async () => {
      const { port, seen } = await secure({ minVersion: version, maxVersion: version });
      const origin = originOf(kind, `https://localhost:${port}`, { tls: { ca: CA }, connections: 4 });
      deepStrictEqual((await ask(origin)).events, GOOD);
      deepStrictEqual((await ask(origin, {}, true)).events, GOOD);
      origin.retire();
      deepStrictEqual([seen.handshakes, seen.resumed], [2, 1]);
    });
  }

  test("bodies of many records, both ways", async () => {
    const body = Buffer.alloc(3 * 1_048_576, "abcdefg");
    let got = 0;
    const server = createServer(OWN, (socket) => {
      socket.on("error", () => socket.destroy());
      socket.on("data", (bytes) => {
        got += bytes.length;
        if (got < body.length) return;
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n`);
        socket.write(body);
      });
    });
    const port = await listen(server);
    const origin = originOf(kind, `https://localhost:${port}`, { tls: { ca: CA } });
    const heard = await ask(origin, { body });
    origin.retire();
    ok(heard.body.equals(body));
    deepStrictEqual([heard.events.at(-1), got > body.length], ["end", true]);
  });

  test("a certificate that the provider wants to see", async () => {
    const { port, seen } = await secure({ requestCert: true, ca: fixture("second-ca"), rejectUnauthorized: true });
    deepStrictEqual((await asked(port, { ca: CA, client: CLIENT })).events, GOOD);
    strictEqual(seen.clients.length, 1);
    ok(seen.clients[0] !== "", "the provider has seen it");
    const refused = (await asked(port)).events;
    ok(refused.at(-1) === "upstream_tls_failed" || refused.at(-1) === "upstream_reset", String(refused));
  });

  test("another name than the URL's is asked for and verified", async () => {
    const { port, seen } = await secure();
    deepStrictEqual((await asked(port, { ca: CA, serverName: "localhost" })).events, GOOD);
    deepStrictEqual(seen.names, ["localhost"]);
    deepStrictEqual((await asked(port, { ca: CA, serverName: "other.test" })).events, ["upstream_tls_failed"]);
  });

  const expired = { cert: fixture("expired"), key: SECOND_KEY };
  const REFUSED: readonly [string, () => Promise<number>, Partial<ProviderTls>, string][] = [
    ["of an authority that nobody trusts", async () => (await secure()).port, {}, "127.0.0.1"],
    [
      "for another name",
      async () => (await secure({ cert: fixture("named"), key: SECOND_KEY })).port,
      { ca: fixture("named") },
      "localhost",
    ],
    ["that is no longer valid", async () => (await secure(expired)).port, { ca: fixture("expired") }, "127.0.0.1"],
  ];

  for (const [what, provider, tls, host] of REFUSED) {
    test(`a certificate ${what}`, async () => {
      const heard = await asked(await provider(), tls, host);
      deepStrictEqual(heard.events, ["upstream_tls_failed"]);
      ok(heard.cause.length > 0);
    });
  }

  const HANDSHAKES: readonly [string, () => Promise<number>][] = [
    ["a provider that speaks no TLS", () => plain((socket) => socket.write("HTTP/1.1 400 No\r\n\r\n"))],
    ["a handshake that is cut", () => plain((socket) => socket.once("data", () => socket.end()))],
    [
      "a provider of TLS 1.1 only",
      async () => (await secure({ minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" })).port,
    ],
  ];

  for (const [what, provider] of HANDSHAKES) {
    test(`${what}: a failure of TLS`, async () => {
      const origin = originOf(kind, `https://127.0.0.1:${await provider()}`, { tls: { ca: CA } });
      const heard = await ask(origin);
      deepStrictEqual([heard.events, origin.connections], [["upstream_tls_failed"], 0]);
    });
  }

  test("a free connection that the provider ends is forgotten", async () => {
    const { port, sockets } = await secure();
    const origin = originOf(kind, `https://127.0.0.1:${port}`, { tls: { ca: CA } });
    deepStrictEqual((await ask(origin)).events, GOOD);
    sockets[0]?.destroy();
    await until("the connection is forgotten", () => origin.connections === 0);
    deepStrictEqual((await ask(origin)).events, GOOD);
    origin.retire();
  });
}

for (const kind of TRANSPORTS) describe(`over ${kind}`, () => holds(kind));

/** Versions and cipher suites that a ClientHello offers (RFC 8446 4.1.2), within its record of TLS. */
function offered(hello: Buffer): { versions: string; suites: string } {
  const sessionEnd = 44 + hello.readUInt8(43);
  const suitesEnd = sessionEnd + 2 + hello.readUInt16BE(sessionEnd);
  let at = suitesEnd + 1 + hello.readUInt8(suitesEnd) + 2;
  // supported_versions
  while (hello.readUInt16BE(at) !== 43) at += 4 + hello.readUInt16BE(at + 2);
  const versions = hello.toString("hex", at + 5, at + 4 + hello.readUInt16BE(at + 2));
  return { versions, suites: hello.toString("hex", sessionEnd + 2, suitesEnd) };
}

test("both offer TLS 1.3 and 1.2, and the ciphers of the runtime", async () => {
  const seen: ReturnType<typeof offered>[] = [];
  const port = await plain((socket) => {
    socket.once("data", (hello) => {
      seen.push(offered(hello));
      socket.destroy();
    });
  });
  for (const kind of TRANSPORTS) await ask(originOf(kind, `https://localhost:${port}`));
  await new Promise((resolve) => connect({ port, servername: "localhost" }).on("error", resolve));
  const [native, undici, runtime] = seen;
  strictEqual(runtime?.versions, "03040303");
  deepStrictEqual([native, undici], [runtime, runtime]);
});
