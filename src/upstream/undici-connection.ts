/**
 * One upstream connection of the undici transport: a Client, and what undici does not tell about it. Gateway worker.
 * undici's own Pool looks for a free client linearly and queues without bound; origin.ts does neither.
 */
import { type buildConnector, Client } from "undici";
import { UPSTREAM_HEADER_BYTES_MAX, UPSTREAM_STREAMS_MAX } from "../base/limits.ts";
import { Connection } from "./connection.ts";
import type { Origin } from "./origin.ts";
import type { Connecting, Connector } from "./undici-connector.ts";

export interface UndiciConnectionOptions {
  /** Origin of what the client talks to: the provider's, or that of a proxy for plain HTTP. */
  readonly address: string;
  /** Shared by all connections of an origin, so that they resume each other's TLS sessions. */
  readonly connector: Connector;
  readonly http2: boolean;
  readonly keepAliveMs: number;
}

export class UndiciConnection extends Connection {
  readonly client: Client;
  readonly #origin: Origin<UndiciConnection>;
  readonly #connector: Connector;
  /** While it connects: undici does not end a socket that is not connected yet. */
  #connecting: Connecting | null = null;
  #socket: { readonly writableLength: number } | null = null;
  /** HTTP/2: an attempt that ends leaves the connection to the others. */
  multiplexed = false;

  constructor(options: UndiciConnectionOptions, origin: Origin<UndiciConnection>) {
    super();
    this.#origin = origin;
    this.#connector = options.connector;
    this.client = new Client(options.address, {
      pipelining: 1,
      allowH2: options.http2,
      h2Options: { maxConcurrentStreams: UPSTREAM_STREAMS_MAX },
      // All waits are ours (pipeline/deadlines.ts): undici's would be a timer per request.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: options.keepAliveMs,
      keepAliveMaxTimeout: options.keepAliveMs,
      maxHeaderSize: UPSTREAM_HEADER_BYTES_MAX,
      connect: (target, done) => this.#connect(target, done),
    });
    this.client.on("connect", () => this.#onConnect());
    this.client.on("disconnect", () => this.#onDisconnect());
  }

  #connect(target: buildConnector.Options, done: buildConnector.Callback): void {
    this.#connecting = this.#connector(target, (...result) => {
      const [, socket] = result;
      // Against its type, there is no second one with an error.
      this.multiplexed = socket != null && "alpnProtocol" in socket && socket.alpnProtocol === "h2";
      this.#socket = socket;
      done(...result);
    });
  }

  /** A part of a request is not written yet: an answer came early, which undici does not mind. */
  get behind(): boolean {
    return this.#socket !== null && this.#socket.writableLength > 0;
  }

  /** Not for streams that the provider's GOAWAY refused, for which undici connects again. */
  #onConnect(): void {
    if (!this.gone && !this.connected) this.#origin.connected(this, this.multiplexed ? UPSTREAM_STREAMS_MAX : 1);
  }

  /** Of attempts that were begun undici has told already. For one that was not it connects again. */
  #onDisconnect(): void {
    if (this.gone || !this.connected) return;
    if (this.attempts === 0 || this.multiplexed) this.#origin.discard(this);
    else this.#origin.reconnecting(this);
  }

  /** Addresses are undici's. */
  isOutdated(): boolean {
    return false;
  }

  /** Streams that go on behind a GOAWAY are let; Origin calls again when the last one has ended. */
  close(): void {
    if (this.multiplexed && this.attempts > 0) return;
    // The promise only says when the socket is gone; it does not fail.
    void this.client.destroy();
    if (!this.connected) this.#connecting?.destroy();
  }
}
