/** The native transport of one origin: HTTP/1.1 over TCP or TLS, by the addon. Gateway worker. */
import type { ProviderTls } from "../config/snapshot.ts";
import { Addresses } from "./addresses.ts";
import type { Destination } from "./dial.ts";
import { NativeAttempt } from "./native-attempt.ts";
import { NativeConnection } from "./native-connection.ts";
import { openSockets } from "./native-events.ts";
import type { Origin, PooledAttempt, Wire } from "./origin.ts";
import { tlsContextOf } from "./tls-context.ts";
import type { AttemptListener, UpstreamRequest } from "./transport.ts";

const HTTP_PORT = 80;
const HTTPS_PORT = 443;

export class NativeWire implements Wire<NativeConnection> {
  readonly places = 1;
  readonly growing = true;
  readonly #destination: Destination;
  readonly #hostLine: string;
  /** Addresses, at the last sweep. */
  #gone = 0;

  /** `origin`: scheme, host and port; `tls`: null for a plain one; `addresses`: those of its host, if they are known. */
  constructor(origin: string, tls: ProviderTls | null, addresses?: Addresses) {
    openSockets();
    const { host, hostname, port, protocol } = new URL(origin);
    const byScheme = protocol === "https:" ? HTTPS_PORT : HTTP_PORT;
    this.#destination = {
      addresses: addresses ?? new Addresses(hostname),
      port: port === "" ? byScheme : Number(port),
      tls: tls === null ? null : tlsContextOf(tls),
      serverName: tls?.serverName ?? hostname.replace(/^\[(.*)\]$/, "$1"),
    };
    this.#hostLine = `\r\nhost: ${host}`;
  }

  sweep(): boolean {
    const { addresses } = this.#destination;
    addresses.refresh();
    const changed = addresses.gone !== this.#gone;
    this.#gone = addresses.gone;
    return changed;
  }

  open(origin: Origin<NativeConnection>): NativeConnection {
    return new NativeConnection(this.#destination, origin);
  }

  attempt(
    request: UpstreamRequest,
    listener: AttemptListener,
    origin: Origin<NativeConnection>,
  ): PooledAttempt<NativeConnection> {
    return new NativeAttempt(request, listener, origin, this.#hostLine);
  }
}
