/** A server whose every byte a test writes itself. */
import { once } from "node:events";
import { type AddressInfo, createServer as createPlain, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { createServer as createTls, type TlsOptions } from "node:tls";
import { until } from "./until.ts";

export interface RawServerOptions {
  /** Without it: a plain server. */
  readonly tls?: TlsOptions;
  readonly host?: string;
  readonly allowHalfOpen?: boolean;
  /** Begins to read when the test says so. */
  readonly pauseOnConnect?: boolean;
  readonly onSocket?: (socket: Socket) => void;
}

export class RawServer {
  readonly port: number;
  /** In order of arrival; over TLS, after the handshake. */
  readonly sockets: Socket[] = [];
  /** Below TLS. */
  readonly connections: readonly Socket[];
  readonly #close: () => Promise<void>;

  private constructor(port: number, connections: readonly Socket[], close: () => Promise<void>) {
    this.port = port;
    this.connections = connections;
    this.#close = close;
  }

  /** Closed at the end of the test. */
  static async open(
    test: TestContext,
    { tls, host = "127.0.0.1", onSocket, ...options }: RawServerOptions = {},
  ): Promise<RawServer> {
    const taken: Socket[] = [];
    const accept = (socket: Socket) => {
      // What a socket ends with is for the test to see at its other side.
      socket.on("error", () => undefined);
      server.sockets.push(socket);
      onSocket?.(socket);
    };
    const listener = tls === undefined ? createPlain(options, accept) : createTls({ ...tls, ...options }, accept);
    listener.on("connection", (socket: Socket) => taken.push(socket.on("error", () => undefined)));
    listener.listen(0, host);
    await once(listener, "listening");
    const server = new RawServer((listener.address() as AddressInfo).port, taken, async () => {
      if (!listener.listening) return;
      const closed = once(listener, "close");
      listener.close();
      for (const socket of taken) socket.destroy();
      await closed;
    });
    test.after(() => server.close());
    return server;
  }

  /** The connection with this number, when it is there. */
  async socket(index = 0): Promise<Socket> {
    return until(`there are ${index + 1} connections`, () => this.sockets[index]);
  }

  close(): Promise<void> {
    return this.#close();
  }
}

/** Answers every request, whose end `isEnd` knows from all that came since the last one, with `answer`. */
export function answering(
  answer: string | Buffer | ((request: Buffer) => string | Buffer),
  isEnd: (request: Buffer) => boolean = (request) => request.includes("\r\n\r\n"),
): (socket: Socket) => void {
  return (socket) => {
    let request = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      request = Buffer.concat([request, chunk]);
      if (!isEnd(request)) return;
      const whole = request;
      request = Buffer.alloc(0);
      socket.write(typeof answer === "function" ? answer(whole) : answer);
    });
  };
}
