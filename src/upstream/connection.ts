/**
 * One upstream connection: an undici Client that carries one request at a time, and what undici does not tell about it.
 * Gateway worker. undici's own Pool looks for a free client linearly and queues without bound; origin.ts does neither.
 */
import { type buildConnector, Client } from "undici";
import { UPSTREAM_HEADER_BYTES_MAX } from "../base/limits.ts";
import type { CountersWriter } from "../shm/counters.ts";
import { COUNTER } from "../shm/layout.ts";

export interface ConnectionOptions {
  readonly origin: string;
  /** Shared by all connections of an origin, so that they resume each other's TLS sessions. */
  readonly connector: buildConnector.connector;
  readonly keepAliveMs: number;
}

export class Connection {
  readonly client: Client;
  /** Requests that the current socket has begun; 0: it is new or not connected. */
  requests = 0;
  connected = false;
  /** Monotonic time at which it became free. */
  idleSinceMs = 0;
  readonly #counters: CountersWriter;
  /** While it connects: undici does not end a socket that is not connected yet. */
  #connecting: { destroy(): unknown } | null = null;

  constructor(options: ConnectionOptions, counters: CountersWriter) {
    this.#counters = counters;
    this.client = new Client(options.origin, {
      pipelining: 1,
      allowH2: false,
      // All waits are ours (pipeline/deadlines.ts): undici's would be a timer per request.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: options.keepAliveMs,
      keepAliveMaxTimeout: options.keepAliveMs,
      maxHeaderSize: UPSTREAM_HEADER_BYTES_MAX,
      connect: (target, done) => {
        // buildConnector returns its socket, which its type does not say.
        this.#connecting = options.connector(target, done) as unknown as { destroy(): unknown } | null;
      },
    });
    this.client.on("connect", () => this.#onConnect());
    this.client.on("disconnect", () => this.#onDisconnect());
  }

  #onConnect(): void {
    this.connected = true;
    this.requests = 0;
    this.#counters.add(COUNTER.upstreamConnects, 1);
    this.#counters.add(COUNTER.gaugeUpstreamConnections, 1);
  }

  #onDisconnect(): void {
    if (!this.connected) return;
    this.connected = false;
    this.requests = 0;
    this.#counters.add(COUNTER.gaugeUpstreamConnections, -1);
  }

  /** Ends the socket at once. Every request on it has been told before, or is told an error now. */
  destroy(): void {
    // The promise only says when the socket is gone; it does not fail.
    void this.client.destroy();
    if (!this.connected) this.#connecting?.destroy();
  }
}
