/** Providers behind an HTTP proxy: a tunnel for https, the whole URL for http, and what a proxy can do wrong. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import { type AddressInfo, connect, createServer as createPlainServer, type Server, type Socket } from "node:net";
import { after, test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import type { Origin } from "../../src/upstream/origin.ts";
import { TRANSPORTS } from "../support/transport-names.ts";
import { ANSWER, ask, begun, GOOD, originOf } from "../support/transports.ts";
import { until, within } from "../support/until.ts";

function fixture(name: string): string {
  return readFileSync(new URL(`../fixtures/tls/test-only-${name}.pem`, import.meta.url), "utf8");
}

async function listening(server: Server): Promise<number> {
  after(() => server.close());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** What came to the provider. */
const received: Buffer[] = [];
const provider = await listening(
  createTlsServer({ cert: fixture("server"), key: fixture("server.key") }, (socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", (bytes) => {
      received.push(bytes);
      socket.write(ANSWER);
    });
  }),
);

/** What the proxy was asked for. */
const asked: string[] = [];
const tunnels: Socket[] = [];
let script: (request: IncomingMessage, socket: Socket) => void = tunnel;

function tunnel(request: IncomingMessage, socket: Socket): void {
  const [host = "", port = ""] = (request.url ?? "").split(":");
  const onward = connect(Number(port), host, () => {
    socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
    onward.pipe(socket).pipe(onward);
  });
  onward.on("error", () => socket.destroy());
  socket.on("error", () => onward.destroy());
}

const proxyServer = createServer((request, response) => {
  asked.push(`${request.method} ${request.url} ${request.headers.host}`);
  request.resume().on("end", () => response.writeHead(200, { "content-length": 2 }).end("{}"));
});
proxyServer.on("connect", (request: IncomingMessage, socket: Socket) => {
  asked.push(`CONNECT ${request.url} ${request.headers.host}`);
  tunnels.push(socket);
  script(request, socket);
});
const proxy = `http://127.0.0.1:${await listening(proxyServer)}`;

function opened(url: string, through = proxy): Origin {
  const origin = originOf("undici", url, { proxy: through, tls: { ca: fixture("ca") } });
  after(() => origin.retire());
  return origin;
}

test("https goes through a tunnel, and stays in it", async () => {
  script = tunnel;
  const origin = opened(`https://localhost:${provider}`);
  for (let i = 0; i < 3; i += 1) deepStrictEqual((await ask(origin)).events, GOOD);
  deepStrictEqual(asked.splice(0), [`CONNECT localhost:${provider} localhost:${provider}`]);
});

test("http goes to the proxy with its whole URL", async () => {
  const origin = opened("http://provider.test:8000");
  deepStrictEqual((await ask(origin)).events, GOOD);
  deepStrictEqual(asked.splice(0), ["POST http://provider.test:8000/v1/x provider.test:8000"]);
});

test("the proxy is told who asks, with the tunnel or with each request, and the provider is not", async () => {
  const told: (string | undefined)[] = [];
  const authorized = (request: IncomingMessage) => void told.push(request.headers["proxy-authorization"]);
  proxyServer.on("connect", authorized).on("request", authorized);
  script = tunnel;
  const proxyAuthorization = "Basic dXNlcjpob3JzZQ==";
  received.length = 0;
  for (const url of [`https://localhost:${provider}`, "http://provider.test:8000"]) {
    const origin = originOf("undici", url, { proxy, proxyAuthorization, tls: { ca: fixture("ca") } });
    for (let i = 0; i < 2; i += 1) deepStrictEqual((await ask(origin)).events, GOOD);
    origin.retire();
  }
  proxyServer.off("connect", authorized).off("request", authorized);
  // One tunnel, two requests.
  deepStrictEqual(told, [proxyAuthorization, proxyAuthorization, proxyAuthorization]);
  ok(received.length > 0 && !/proxy-authorization/i.test(Buffer.concat(received).toString("latin1")));
  asked.length = 0;
});

test("a proxy that refuses is a provider that is not reached, once", async () => {
  script = (_, socket) => socket.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
  const heard = await ask(opened(`https://localhost:${provider}`));
  deepStrictEqual([heard.events, asked.splice(0).length], [["upstream_unreachable"], 1]);
  ok(heard.cause.includes("403"), heard.cause);
});

test("a proxy that closes, or is not there, too", async () => {
  script = (_, socket) => socket.destroy();
  deepStrictEqual((await ask(opened(`https://localhost:${provider}`))).events, ["upstream_unreachable"]);
  strictEqual(asked.splice(0).length, 1);
  const dead = opened(`https://localhost:${provider}`, "http://127.0.0.1:1");
  deepStrictEqual((await ask(dead)).events, ["upstream_unreachable"]);
});

test("an attempt that is cancelled while the proxy thinks leaves nothing behind", async () => {
  script = () => undefined;
  const origin = opened(`https://localhost:${provider}`);
  const before = tunnels.length;
  const { attempt, heard } = begun(origin);
  const socket = await until("the proxy was asked", () => tunnels[before]);
  const closed = once(socket.resume(), "end");
  attempt.cancel();
  await within("the end of the tunnel", closed);
  deepStrictEqual([heard.events, origin.connections, asked.splice(0).length], [[], 0, 1]);
});

test("no proxy of the environment is used", async () => {
  const trap = await listening(createPlainServer((socket) => socket.destroy()));
  const names = ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
  for (const name of names) process.env[name] = `http://127.0.0.1:${trap}`;
  for (const kind of TRANSPORTS) {
    const origin = originOf(kind, `https://localhost:${provider}`, { tls: { ca: fixture("ca") } });
    deepStrictEqual((await ask(origin)).events, GOOD);
    origin.retire();
  }
  for (const name of names) delete process.env[name];
});
