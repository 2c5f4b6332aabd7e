/**
 * What stands in front of an app where uWebSockets.js cannot do it: the PROXY header, which it takes from anybody, and
 * TLS, where it cannot demand certificates of clients and reads its own once. Gateway worker, main thread. A front accepts
 * connections, checks who they are, and passes the bytes to the app over a socket without a name in the file system.
 * What must stay true: nothing reaches the app before the header and the handshake are done; whoever of the two sides
 * ends a connection ends the other; and a connection that we end before there is a request on it is counted, once.
 */
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from "node:tls";
import { addressBytesOf } from "../base/address.ts";
import { nowMs } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import { BACKLOG_MAX, GREETING_MS_MAX } from "../base/limits.ts";
import type { Refusal } from "../base/refusals.ts";
import { type Listener, placeText, type Tls } from "../config/listener.ts";
import type { Callers } from "./callers.ts";
import { type Greeting, Greetings } from "./greetings.ts";
import { Joint } from "./joint.ts";
import { readProxyHeader } from "./proxy-header.ts";
import type { Refusals } from "./refusals.ts";
import { contextOf, ServerNames } from "./server-names.ts";
import { Trust } from "./trust.ts";

const NO_BYTES = Buffer.alloc(0);
/** Codes of handshakes that the client gave up. */
const LEFT: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE"]);
const NO_CERTIFICATE = "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE";

/** What a front needs of its surroundings. */
export interface FrontOptions {
  readonly listener: Listener;
  /** Of the app's socket, abstract. */
  readonly appName: string;
  readonly callers: Callers;
  readonly refusals: Refusals;
}

export class Front {
  readonly #options: FrontOptions;
  readonly #server: Server;
  readonly #greetings = new Greetings();
  /** Those in a handshake, by the addresses of the connection, which TLS keeps. */
  readonly #handshakes = new Map<string, Greeting>();
  #tls: TlsServer | null = null;
  #trusted: Trust | null = null;

  constructor(options: FrontOptions) {
    this.#options = options;
    this.configure(options.listener);
    this.#server = createServer({ noDelay: true }, (socket) => this.#onConnection(socket));
  }

  /** For connections from now on: other certificates, other proxies. */
  configure({ tls, proxies }: Listener): void {
    this.#trusted = proxies === null ? null : new Trust(proxies);
    this.#tls = tls === null ? null : this.#newTls(tls);
  }

  /** `descriptor`: of a listening socket; null: TCP, by its place. Rejects with CodedError `listen_failed`. */
  listen(descriptor: number | null): Promise<void> {
    const { place } = this.#options.listener;
    const options =
      place.kind === "tcp"
        ? { host: place.host, port: place.port, reusePort: true, backlog: BACKLOG_MAX }
        : { fd: descriptor ?? -1 };
    return new Promise((resolve, reject) => {
      const refuse = (cause: Error) =>
        reject(new CodedError("listen_failed", `cannot listen on ${placeText(place)}: ${cause.message}`, cause));
      this.#server.once("error", refuse);
      this.#server.listen(options, () => {
        this.#server.off("error", refuse);
        // Of single connections, such as no descriptor left for one.
        this.#server.on("error", (cause: NodeJS.ErrnoException) => this.#note("exhausted", cause.code ?? ""));
        resolve();
      });
    });
  }

  stopListening(): void {
    this.#server.close();
  }

  /** After stopListening. The connections that have been passed on end with the app. */
  close(): void {
    for (const { socket } of this.#greetings.all()) socket.destroy();
  }

  /** Ends connections whose header, handshake or first byte has not come in time. */
  sweep(atMs: number): void {
    for (let late = this.#greetings.late(atMs); late !== null; late = this.#greetings.late(atMs))
      this.#refuse(late, late.awaited);
  }

  #newTls(tls: Tls): TlsServer {
    const names = new ServerNames(tls);
    const server = createTlsServer({
      ...contextOf(tls, tls.clientAuthorities),
      requestCert: tls.clientAuthorities !== null,
      rejectUnauthorized: true,
      SNICallback: (name, done) => done(null, names.contextFor(name)),
      ALPNProtocols: ["http/1.1"],
      // The sweep comes first.
      handshakeTimeout: 2 * GREETING_MS_MAX,
    });
    server.on("secureConnection", (socket) => this.#onSecure(socket));
    server.on("tlsClientError", (error, socket) => this.#onTlsError(error, socket));
    return server;
  }

  #onConnection(socket: Socket): void {
    const awaited = this.#trusted === null ? "tls_handshake_timeout" : "proxy_header_timeout";
    const greeting = this.#greetings.add(socket, awaited, nowMs());
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#greetings.remove(greeting));
    const surplus = this.#greetings.surplus(greeting, greeting.sinceMs);
    if (surplus !== null) this.#refuse(surplus, "connection_limit");
    if (surplus === greeting) return;
    if (this.#trusted === null) this.#secure(greeting);
    else if (this.#trusted.has(socket.remoteAddress)) this.#readHeader(greeting);
    else this.#refuse(greeting, "untrusted_peer", socket.remoteAddress);
  }

  #refuse(greeting: Greeting, reason: Refusal, detail = ""): void {
    // Not one whose client has left already.
    if (this.#greetings.remove(greeting)) this.#note(reason, detail);
    greeting.socket.destroy();
  }

  #note(reason: Refusal, detail: string): void {
    this.#options.refusals.note(placeText(this.#options.listener.place), reason, detail);
  }

  /** Up to the end of the header; what is behind it stays in the socket. */
  #readHeader(greeting: Greeting): void {
    const { socket } = greeting;
    let read: Buffer = NO_BYTES;
    const onReadable = () => {
      const chunk: Buffer | null = socket.read();
      if (chunk === null) return;
      read = read.length === 0 ? chunk : Buffer.concat([read, chunk]);
      const header = readProxyHeader(read);
      if (header === "partial") return;
      socket.off("readable", onReadable);
      if (header === "invalid") {
        this.#refuse(greeting, "proxy_header", socket.remoteAddress);
        return;
      }
      if (read.length > header.bytes) socket.unshift(read.subarray(header.bytes));
      if (header.address.length > 0) greeting.address = header.address;
      this.#secure(greeting);
    };
    socket.on("readable", onReadable);
  }

  #secure(greeting: Greeting): void {
    const { socket } = greeting;
    if (this.#tls === null) {
      this.#pass(greeting, socket);
      return;
    }
    greeting.awaited = "tls_handshake_timeout";
    const name = nameOf(socket);
    this.#handshakes.set(name, greeting);
    socket.on("close", () => {
      if (this.#handshakes.get(name) === greeting) this.#handshakes.delete(name);
    });
    this.#tls.emit("connection", socket);
  }

  #onSecure(socket: TLSSocket): void {
    socket.on("error", () => socket.destroy());
    const greeting = this.#handshakes.get(nameOf(socket));
    // Without one: it has no address any more, because the client has left.
    if (greeting === undefined) socket.destroy();
    else this.#pass(greeting, socket);
  }

  #onTlsError(error: NodeJS.ErrnoException, socket: TLSSocket): void {
    const { authorizationError } = socket;
    // Such a socket is closed already, and has no address any more.
    if (authorizationError != null) this.#note("client_certificate", String(authorizationError));
    const greeting = this.#handshakes.get(nameOf(socket));
    const code = error.code ?? "";
    if (greeting === undefined || LEFT.has(code)) socket.destroy();
    else this.#refuse(greeting, code === NO_CERTIFICATE ? "client_certificate" : "tls_handshake", code);
  }

  /** To the app, with the first bytes: a request line that arrives in two pieces would be refused there. */
  #pass(greeting: Greeting, client: Socket): void {
    greeting.awaited = "first_byte_timeout";
    client.once("readable", () => {
      const first: Buffer | null = client.read();
      if (first === null || !this.#greetings.remove(greeting)) {
        client.destroy();
        return;
      }
      const { appName, callers } = this.#options;
      const address = greeting.address ?? addressBytesOf(client.remoteAddress ?? "");
      const onExhausted = (code: string) => this.#note("exhausted", code);
      new Joint({ client, first, appName, callers, address, onExhausted });
    });
  }
}

function nameOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}
