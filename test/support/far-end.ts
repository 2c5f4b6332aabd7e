/** A provider that sees each request as its own server does, HTTP/1.1 or HTTP/2, and how it ended. In the test's own process. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { AddressInfo, Socket } from "node:net";

export type FarRequest = IncomingMessage | Http2ServerRequest;
/** What both have. */
export interface FarResponse {
  readonly destroyed: boolean;
  readonly writableEnded: boolean;
  writeHead(status: number, headers?: Readonly<Record<string, string | number>>): { end(chunk: string): unknown };
  write(chunk: string | Buffer): boolean;
  end(chunk: string): unknown;
  on(event: "drain" | "close" | "error", listener: () => void): unknown;
}

/** One request at the provider. */
export interface Seen {
  readonly request: FarRequest;
  readonly response: FarResponse;
  /** Of its body, once it is read. */
  bytes: number;
  /** The gateway ended it before it was answered: its connection was closed, or its stream reset. */
  cancelled: boolean;
}

/** PEM of the tests' own authority. */
export function fixture(name: string): string {
  return readFileSync(new URL(`../fixtures/tls/test-only-${name}.pem`, import.meta.url), "utf8");
}

export class FarEnd {
  readonly url: string;
  /** Called with each request; the body is for it to read. */
  script: (seen: Seen) => void = () => undefined;
  /** Of its certificate; null: it has none. */
  readonly ca: string | null;
  seen: Seen[] = [];
  /** Called when it knows that a request was cancelled. */
  onCancelled: () => void = () => undefined;
  readonly #sockets: Set<Socket>;
  readonly #close: () => void;

  private constructor(url: string, ca: string | null, sockets: Set<Socket>, close: () => void) {
    this.url = url;
    this.ca = ca;
    this.#sockets = sockets;
    this.#close = close;
  }

  static async start(http2: boolean): Promise<FarEnd> {
    const sockets = new Set<Socket>();
    const take = (request: FarRequest, response: ServerResponse | Http2ServerResponse) =>
      far.#take({ request, response, bytes: 0, cancelled: false });
    const server = http2
      ? createSecureServer({ cert: fixture("server"), key: fixture("server.key") }, take)
      : createServer(take);
    server.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const url = http2 ? `https://localhost:${port}` : `http://127.0.0.1:${port}`;
    const far = new FarEnd(url, http2 ? fixture("ca") : null, sockets, () => void server.close());
    return far;
  }

  #take(seen: Seen): void {
    this.seen.push(seen);
    const { request, response } = seen;
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    response.on("close", () => {
      seen.cancelled = !response.writableEnded;
      if (seen.cancelled) this.onCancelled();
    });
    this.script(seen);
  }

  /** Takes the body of a request. */
  static read(seen: Seen): void {
    seen.request.on("data", (chunk: Buffer) => {
      seen.bytes += chunk.length;
    });
  }

  stop(): void {
    this.#close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
