/**
 * The mock provider, a program of its own: `node test/support/mock-upstream.ts`. Prints one JSON line with its ports when
 * it listens, and exits when its stdin closes, so that it never outlives the test. Behaves well unless a request's
 * `x-mock` header asks for faults (mock/plan-faults.ts, mock/delivery-faults.ts). The control port serves
 * GET /seen, GET /audit, POST /reset and POST /open?gate=NAME.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createControl, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { Gates } from "./mock/gates.ts";
import { Recorder } from "./mock/journal.ts";
import { Connection } from "./mock/server.ts";

const fixtures = new URL("../fixtures/tls/", import.meta.url);
const recorder = new Recorder();
const gates = new Gates();

function control(request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? "/", "http://control");
  if (url.pathname === "/reset") recorder.reset();
  if (url.pathname === "/open") gates.open(url.searchParams.get("gate") ?? "");
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(url.pathname === "/audit" ? recorder.audit() : recorder.journal()));
}

async function listen(server: Server): Promise<number> {
  server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 });
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

const plain = createServer((socket) => new Connection(socket, recorder, gates));
const tls = createTlsServer(
  {
    cert: readFileSync(new URL("test-only-server.pem", fixtures)),
    key: readFileSync(new URL("test-only-server.key.pem", fixtures)),
  },
  (socket) => new Connection(socket, recorder, gates),
);
/** Accepts and never says a word: a TLS handshake with it never ends. */
const silent = createServer((socket) => socket.on("error", () => socket.destroy()));
/** An HTTP server that is spoken to in TLS: answers 400 to anything and closes. */
const refusing = createServer((socket) => {
  socket.on("error", () => socket.destroy());
  socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n"));
});

const ports = {
  port: await listen(plain),
  tlsPort: await listen(tls),
  silentPort: await listen(silent),
  refusingPort: await listen(refusing),
  controlPort: await listen(createControl(control)),
};
console.log(JSON.stringify(ports));
process.stdin.on("end", () => process.exit(0)).resume();
