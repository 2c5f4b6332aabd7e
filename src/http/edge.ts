/**
 * The edge: a uWebSockets.js app on the proxy port, shared by all workers (SO_REUSEPORT). Gateway worker, main thread.
 * Turns requests into exchanges for a RequestHandler and knows nothing of what is done with them.
 */
import { nowMs } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import type { RequestHandler } from "../pipeline/exchange.ts";
import { ClientStream } from "./client-stream.ts";
import { RequestBody } from "./request-body.ts";
import { readHead } from "./request-head.ts";
import { closeListenSocket, type ListenSocket, newApp, type UwsApp, type UwsRequest, type UwsResponse } from "./uws.ts";

export class Edge {
  readonly #app: UwsApp = newApp();
  readonly #handler: RequestHandler;
  #socket: ListenSocket | null = null;

  constructor(handler: RequestHandler) {
    this.#handler = handler;
    this.#app.any("/*", (response, request) => this.#onRequest(response, request));
  }

  /** Rejects with CodedError `listen_failed`. */
  listen(host: string, port: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#app.listen(host, port, (socket) => {
      if (socket === false) {
        reject(new CodedError("listen_failed", `cannot listen on ${host}:${port}: is the address in use or not ours?`));
        return;
      }
      this.#socket = socket;
      resolve();
    });
    return promise;
  }

  /** Accepts no new connections; those that are open go on. */
  stopListening(): void {
    if (this.#socket === null) return;
    closeListenSocket(this.#socket);
    this.#socket = null;
  }

  /** Closes every connection. After this the process can end without an abort. */
  close(): void {
    this.stopListening();
    this.#app.close();
  }

  #onRequest(response: UwsResponse, request: UwsRequest): void {
    const stream = new ClientStream(response, this.#handler);
    const exchange = this.#handler.open(stream, nowMs());
    stream.attach(exchange);
    const verdict = readHead(request, exchange);
    if (!this.#handler.onHead(exchange, verdict)) {
      if (stream.lingering) response.onData((chunk, isLast) => stream.discard(chunk.byteLength, isLast));
      return;
    }
    if (exchange.contentLength === 0) {
      this.#handler.onBody(exchange);
      return;
    }
    const body = new RequestBody(exchange, stream, this.#handler);
    response.onData((chunk, isLast) => body.onData(chunk, isLast));
  }
}
