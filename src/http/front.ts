/**
 * What stands in front of an app where uWebSockets.js cannot do it: the PROXY header, which it takes from anybody, and
 * TLS, where it cannot demand certificates of clients and reads its own once. Gateway worker, main thread. A front accepts
 * connections, checks who they are, and passes the bytes to the app over a socket without a name in the file system.
 * What must stay true: nothing reaches the app before the header and the handshake are done, and whoever of the two sides
 * ends a connection ends the other.
 */
import { BlockList, connect, createServer, isIPv6, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type Server as TlsServer } from "node:tls";
import { CodedError } from "../base/errors.ts";
import { BACKLOG_MAX, GREETING_MS_MAX } from "../base/limits.ts";
import { type Listener, placeText, type Tls, type TrustedPeer } from "../config/listener.ts";
import type { Callers } from "./callers.ts";
import { addressBytesOf, proxyHeaderFor, readProxyHeader } from "./proxy-header.ts";

/** How long a client may take to read the rest when its side is over, milliseconds. */
const LINGER_MS = 2_000;
const NO_BYTES = Buffer.alloc(0);

export class Front {
  readonly #callers: Callers;
  /** Of the app's socket, abstract. */
  readonly #appName: string;
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  /** Addresses that a PROXY header gave, by the addresses of its connection, for what TLS makes of this. */
  readonly #announced = new Map<string, Uint8Array>();
  #tls: TlsServer | null = null;
  #trusted: Trust | null = null;

  constructor(listener: Listener, appName: string, callers: Callers) {
    this.#callers = callers;
    this.#appName = appName;
    this.configure(listener);
    this.#server = createServer({ noDelay: true }, (socket) => this.#onConnection(socket));
  }

  /** For connections from now on: other certificates, other proxies. */
  configure({ tls, proxies }: Listener): void {
    this.#trusted = proxies === null ? null : new Trust(proxies);
    this.#tls = tls === null ? null : this.#newTls(tls);
  }

  /** `descriptor`: of a listening socket; null: TCP, by its place. Rejects with CodedError `listen_failed`. */
  listen({ place }: Listener, descriptor: number | null): Promise<void> {
    const options =
      place.kind === "tcp"
        ? { host: place.host, port: place.port, reusePort: true, backlog: BACKLOG_MAX }
        : { fd: descriptor ?? -1 };
    return new Promise((resolve, reject) => {
      // Later ones are of single connections, such as no descriptor left for one: the client sees it.
      this.#server.on("error", (cause) =>
        reject(new CodedError("listen_failed", `cannot listen on ${placeText(place)}: ${cause.message}`, cause)),
      );
      this.#server.listen(options, resolve);
    });
  }

  stopListening(): void {
    this.#server.close();
  }

  /** After stopListening. Clients that still read get LINGER_MS for it. */
  close(): void {
    const timer = setTimeout(() => {
      for (const socket of this.#open) socket.destroy();
    }, LINGER_MS);
    timer.unref();
  }

  #newTls({ certificates, key, clientAuthorities }: Tls): TlsServer {
    const clients = clientAuthorities === null ? {} : { ca: clientAuthorities, requestCert: true };
    const server = createTlsServer({
      cert: certificates,
      key,
      ...clients,
      rejectUnauthorized: true,
      minVersion: "TLSv1.2",
      ALPNProtocols: ["http/1.1"],
      handshakeTimeout: GREETING_MS_MAX,
    });
    server.on("secureConnection", (socket) => this.#pass(socket, this.#announced.get(nameOf(socket))));
    server.on("tlsClientError", (_, socket) => socket.destroy());
    return server;
  }

  #onConnection(socket: Socket): void {
    this.#open.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#open.delete(socket));
    if (this.#trusted === null) this.#secure(socket);
    else if (this.#trusted.has(socket.remoteAddress)) this.#readHeader(socket);
    else socket.destroy();
  }

  /** Up to the end of the header; what is behind it stays in the socket. */
  #readHeader(socket: Socket): void {
    let read: Buffer = NO_BYTES;
    socket.setTimeout(GREETING_MS_MAX, () => socket.destroy());
    const onReadable = () => {
      const chunk: Buffer | null = socket.read();
      if (chunk === null) return;
      read = read.length === 0 ? chunk : Buffer.concat([read, chunk]);
      const header = readProxyHeader(read);
      if (header === "partial") return;
      socket.off("readable", onReadable);
      if (header === "invalid") {
        socket.destroy();
        return;
      }
      if (read.length > header.bytes) socket.unshift(read.subarray(header.bytes));
      this.#announce(socket, header.address);
    };
    socket.on("readable", onReadable);
  }

  #announce(socket: Socket, address: Uint8Array): void {
    const known = address.length === 0 ? addressBytesOf(socket.remoteAddress ?? "") : address;
    if (this.#tls === null) {
      this.#pass(socket, known);
      return;
    }
    const name = nameOf(socket);
    this.#announced.set(name, known);
    socket.on("close", () => this.#announced.delete(name));
    this.#secure(socket);
  }

  #secure(socket: Socket): void {
    if (this.#tls === null) {
      this.#pass(socket, undefined);
      return;
    }
    socket.setTimeout(0);
    this.#tls.emit("connection", socket);
  }

  /** To the app, with the first bytes: a request line that arrives in two pieces would be refused there. */
  #pass(client: Socket, announced: Uint8Array | undefined): void {
    this.#open.add(client);
    client.on("error", () => client.destroy());
    client.on("close", () => this.#open.delete(client));
    client.setTimeout(GREETING_MS_MAX, () => client.destroy());
    client.once("readable", () => {
      const first: Buffer | null = client.read();
      client.setTimeout(0);
      if (first === null) client.destroy();
      else this.#join(client, first, announced ?? addressBytesOf(client.remoteAddress ?? ""));
    });
  }

  #join(client: Socket, first: Buffer, address: Uint8Array): void {
    const secret = this.#callers.add(address);
    const app = connect({ path: `\0${this.#appName}` });
    app.write(Buffer.concat([proxyHeaderFor(secret), first]));
    app.on("error", () => client.destroy());
    app.on("close", () => {
      this.#callers.remove(secret);
      // It was told the end by the pipe; this is for one that does not answer it.
      client.setTimeout(LINGER_MS, () => client.destroy());
    });
    client.on("close", () => app.destroy());
    client.pipe(app);
    app.pipe(client);
  }
}

/** Who may begin with a PROXY header. */
class Trust {
  readonly #networks = new BlockList();
  readonly #unix: boolean;

  constructor(peers: readonly TrustedPeer[]) {
    this.#unix = peers.includes("unix");
    for (const peer of peers) {
      if (peer !== "unix") this.#networks.addSubnet(peer.address, peer.prefix, isIPv6(peer.address) ? "ipv6" : "ipv4");
    }
  }

  /** Undefined: of a unix socket. */
  has(address: string | undefined): boolean {
    if (address === undefined) return this.#unix;
    // BlockList finds an IPv4 network for an IPv4-mapped address, too.
    return this.#networks.check(address, isIPv6(address) ? "ipv6" : "ipv4");
  }
}

function nameOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}
