/**
 * The origins of a worker, kept over reloads: providers that share an origin and its TLS settings share connections.
 * Gateway worker, main thread.
 */
import { createSecureContext, rootCertificates } from "node:tls";
import { buildConnector } from "undici";
import type { Provider, Snapshot } from "../config/snapshot.ts";
import type { CountersWriter } from "../shm/counters.ts";
import { Origin } from "./origin.ts";
import type { Transport } from "./transport.ts";

export class Origins {
  readonly #counters: CountersWriter;
  readonly #byIdentity = new Map<string, Origin>();
  /** By object, not by name: a request keeps the origin of the snapshot that it began with. */
  readonly #byProvider = new WeakMap<Provider, Origin>();

  constructor(counters: CountersWriter) {
    this.#counters = counters;
  }

  /** Makes the origins of a new snapshot, keeps those that stay, retires the rest. */
  configure(snapshot: Snapshot, providers: Iterable<Provider>): void {
    const wanted = new Set<string>();
    for (const provider of providers) {
      const identity = identityOf(provider, snapshot);
      wanted.add(identity);
      this.#byProvider.set(provider, this.#byIdentity.get(identity) ?? this.#make(identity, provider, snapshot));
    }
    this.#retireExcept(wanted);
  }

  /** The transport of a provider of any snapshot that was configured. */
  transportOf(provider: Provider): Transport | undefined {
    return this.#byProvider.get(provider);
  }

  closeIdle(nowMs: number): void {
    for (const origin of this.#byIdentity.values()) origin.closeIdle(nowMs);
  }

  /** Closes free connections now and the others with their attempts. */
  retireAll(): void {
    this.#retireExcept(new Set());
  }

  #make(identity: string, provider: Provider, snapshot: Snapshot): Origin {
    const origin = new Origin(
      {
        origin: provider.origin,
        connector: connectorOf(provider),
        keepAliveMs: snapshot.timeouts.upstreamKeepAliveMs,
      },
      { connections: snapshot.bounds.connectionsPerProvider, queue: snapshot.bounds.queuePerProvider },
      this.#counters,
    );
    this.#byIdentity.set(identity, origin);
    return origin;
  }

  #retireExcept(wanted: ReadonlySet<string>): void {
    for (const [identity, origin] of this.#byIdentity) {
      if (wanted.has(identity)) continue;
      this.#byIdentity.delete(identity);
      origin.retire();
    }
  }
}

/** One secure context and one session cache per origin: parsing the system's authorities takes milliseconds. */
function connectorOf(provider: Provider): buildConnector.connector {
  // `ca` replaces the system's authorities; ours are in addition to them.
  const ca = provider.tlsCa === null ? undefined : [...rootCertificates, provider.tlsCa];
  const secureContext = provider.origin.startsWith("https:") ? createSecureContext({ ca }) : undefined;
  return buildConnector({ timeout: 0, allowH2: false, autoSelectFamily: true, secureContext });
}

/** Everything that a connection's behaviour depends on. */
function identityOf(provider: Provider, { timeouts, bounds }: Snapshot): string {
  return JSON.stringify([
    provider.origin,
    provider.tlsCa,
    timeouts.upstreamKeepAliveMs,
    bounds.connectionsPerProvider,
    bounds.queuePerProvider,
  ]);
}
