/**
 * The undici transport of one origin: HTTP/2, proxies, and HTTP/1.1 where it is asked for. Gateway worker. Loaded only where
 * a provider needs it: undici takes 8 MB of a worker's memory.
 */
import { UPSTREAM_STREAMS_MAX } from "../base/limits.ts";
import type { Origin, PooledAttempt, Wire } from "./origin.ts";
import type { AttemptListener, UpstreamRequest } from "./transport.ts";
import { UndiciAttempt } from "./undici-attempt.ts";
import { UndiciConnection, type UndiciConnectionOptions } from "./undici-connection.ts";
import { type ConnectorOptions, connectorOf } from "./undici-connector.ts";

export interface UndiciWireOptions extends ConnectorOptions {
  /** Scheme, host and port. */
  readonly origin: string;
  readonly keepAliveMs: number;
}

export class UndiciWire implements Wire<UndiciConnection> {
  readonly places: number;
  readonly growing = false;
  readonly #options: UndiciConnectionOptions;
  readonly #pathPrefix: string;
  /** Before those of a request that a proxy forwards; null: none does. */
  readonly #lines: string | null;

  constructor(options: UndiciWireOptions) {
    const { origin, proxy, proxyAuthorization, tls, http2, keepAliveMs } = options;
    const forwarded = proxy !== null && tls === null;
    this.places = http2 ? UPSTREAM_STREAMS_MAX : 1;
    this.#options = { address: forwarded ? proxy : origin, connector: connectorOf(options), http2, keepAliveMs };
    this.#pathPrefix = forwarded ? origin : "";
    const authorization = proxyAuthorization === null ? "" : `\r\nproxy-authorization: ${proxyAuthorization}`;
    this.#lines = forwarded ? `\r\nhost: ${new URL(origin).host}${authorization}` : null;
  }

  sweep(): boolean {
    return false;
  }

  open(origin: Origin<UndiciConnection>): UndiciConnection {
    return new UndiciConnection(this.#options, origin);
  }

  attempt(
    request: UpstreamRequest,
    listener: AttemptListener,
    origin: Origin<UndiciConnection>,
  ): PooledAttempt<UndiciConnection> {
    if (this.#lines === null) return new UndiciAttempt(request, listener, origin);
    // To a proxy goes the whole URL (RFC 9112 3.2.2).
    const lines = this.#lines + request.lines;
    const path = this.#pathPrefix + request.path;
    return new UndiciAttempt({ ...request, path, lines }, listener, origin);
  }
}
