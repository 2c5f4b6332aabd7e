/**
 * The origins of a worker, kept over reloads: providers that share an origin and its settings share connections. Gateway
 * worker, main thread.
 */
import type { Provider, Snapshot } from "../config/snapshot.ts";
import type { CountersWriter } from "../shm/counters.ts";
import { sweepDials } from "./dial.ts";
import { NativeWire } from "./native-wire.ts";
import { Origin, type OriginBounds } from "./origin.ts";
import type { Transport } from "./transport.ts";

/** undici costs memory, so it is there only when a provider needs it. */
type UndiciModule = typeof import("./undici-wire.ts");

/** What Origins does with an origin of any kind. */
interface Pool extends Transport {
  sweep(tickMs: number): void;
  retire(): void;
}

export class Origins {
  readonly #counters: CountersWriter;
  readonly #byIdentity = new Map<string, Pool>();
  /** By object, not by name: a request keeps the origin of the snapshot that it began with. */
  readonly #byProvider = new WeakMap<Provider, Pool>();
  #undici: UndiciModule | null = null;
  /** Configurations come into force in the order in which they came. */
  #configuring: Promise<void> = Promise.resolve();

  constructor(counters: CountersWriter) {
    this.#counters = counters;
  }

  /** Makes the origins of a new snapshot, keeps those that stay, retires the rest. */
  configure(snapshot: Snapshot, providers: Iterable<Provider>): Promise<void> {
    const list = [...providers];
    this.#configuring = this.#configuring.then(() => this.#configure(snapshot, list));
    return this.#configuring;
  }

  async #configure(snapshot: Snapshot, providers: readonly Provider[]): Promise<void> {
    if (providers.some(({ transport }) => transport === "undici")) this.#undici ??= await import("./undici-wire.ts");
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

  /** Goes on with connections that are being made, and closes those that nobody uses. */
  sweep(tickMs: number): void {
    sweepDials(tickMs);
    for (const origin of this.#byIdentity.values()) origin.sweep(tickMs);
  }

  /** Closes free connections now and the others with their attempts. */
  retireAll(): void {
    this.#retireExcept(new Set());
  }

  #make(identity: string, provider: Provider, { timeouts, bounds }: Snapshot): Pool {
    const origin = this.#origin(provider, {
      connections: bounds.connectionsPerProvider,
      queue: bounds.queuePerProvider,
      keepAliveMs: timeouts.upstreamKeepAliveMs,
    });
    this.#byIdentity.set(identity, origin);
    return origin;
  }

  #origin({ origin, transport, tls, http2, proxy, proxyAuthorization }: Provider, bounds: OriginBounds): Pool {
    const ownTls = origin.startsWith("https:") ? tls : null;
    if (transport === "native" || this.#undici === null) {
      return new Origin(new NativeWire(origin, ownTls), bounds, this.#counters);
    }
    const { UndiciWire } = this.#undici;
    const { keepAliveMs } = bounds;
    const wire = new UndiciWire({ origin, tls: ownTls, http2, proxy, proxyAuthorization, keepAliveMs });
    return new Origin(wire, bounds, this.#counters);
  }

  #retireExcept(wanted: ReadonlySet<string>): void {
    for (const [identity, origin] of this.#byIdentity) {
      if (wanted.has(identity)) continue;
      this.#byIdentity.delete(identity);
      origin.retire();
    }
  }
}

/** Everything that a connection's behaviour depends on. */
function identityOf(provider: Provider, { timeouts, bounds }: Snapshot): string {
  const { origin, transport, tls, http2, proxy, proxyAuthorization } = provider;
  return JSON.stringify([
    origin,
    transport,
    tls,
    http2,
    proxy,
    proxyAuthorization,
    timeouts.upstreamKeepAliveMs,
    bounds.connectionsPerProvider,
    bounds.queuePerProvider,
  ]);
}
