/**
 * The addresses of one provider's host: resolved once, used while they are resolved again, turned so that connections
 * spread over them. Gateway worker, main thread; one per origin, getaddrinfo runs in libuv's threads. What getaddrinfo says
 * has no time to live: it is asked again at the first use after ADDRESS_REFRESH_MS, or by the sweep while there are connections.
 */
import { type LookupAddress, lookup } from "node:dns";
import { isIP } from "node:net";
import { nowMs } from "../base/clock.ts";
import {
  ADDRESS_MISSES_MAX,
  ADDRESS_PENALTY_MS,
  ADDRESS_REFRESH_MS,
  ADDRESS_RETRY_MS,
  ADDRESS_STALE_MS_MAX,
} from "../base/limits.ts";

/** As node:dns has it with `all`. */
export type Lookup = (
  host: string,
  done: (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void,
) => void;

export interface Address {
  /** Literal, IPv4 or IPv6. */
  readonly text: string;
  readonly family: number;
  /** Until then it is tried behind the others: connecting to it failed, or was slow. */
  badUntilMs: number;
  /** What connecting to it took the last time, milliseconds; 0: not known. */
  connectMs: number;
  /** The host's last answers, in a row, that did not have it. */
  missed: number;
}

/** The host does not have it any more: its connections end when they are idle. */
export function isGone(address: Address): boolean {
  return address.missed >= ADDRESS_MISSES_MAX;
}

/** Told once: addresses in the order in which they are to be tried, at least one, or why there are none. */
export type OnAddresses = (addresses: readonly Address[], error: Error | null) => void;

const LOOPBACK = ["127.0.0.1", "::1"];
const NONE: readonly Address[] = [];

export class Addresses {
  readonly #host: string;
  readonly #lookup: Lookup;
  readonly #clock: () => number;
  #known: readonly Address[] = NONE;
  /** Those of answers before, until they are gone. */
  #missing: readonly Address[] = NONE;
  #gone = 0;
  #resolvedAtMs = -Infinity;
  /** Nothing is asked before. */
  #nextAtMs = -Infinity;
  #error: Error | null = null;
  #asking = false;
  #waiting: OnAddresses[] = [];
  #turn = 0;

  /** `host`: of a URL. */
  constructor(host: string, by: Lookup = system, clock = nowMs) {
    this.#host = host.replace(/^\[(.*)\]$/, "$1");
    this.#lookup = by;
    this.#clock = clock;
    const literals = isIP(this.#host) > 0 ? [this.#host] : this.#isLocal() ? LOOPBACK : [];
    if (literals.length === 0) return;
    this.#known = literals.map((text) => addressOf(text, isIP(text)));
    // Never asked for (RFC 6761 6.3).
    this.#nextAtMs = Infinity;
    this.#resolvedAtMs = Infinity;
  }

  #isLocal(): boolean {
    return this.#host === "localhost" || this.#host.endsWith(".localhost");
  }

  /** Tells at once if it can, which never is a failure. */
  get(done: OnAddresses): void {
    const atMs = this.#clock();
    if (atMs - this.#resolvedAtMs > ADDRESS_STALE_MS_MAX) this.#known = NONE;
    if (atMs >= this.#nextAtMs && !this.#asking) this.#ask();
    if (this.#known.length > 0) done(this.#inOrder(atMs), null);
    else if (this.#asking) this.#waiting.push(done);
    else setImmediate(done, NONE, this.#error);
  }

  /** Asks again if it is time. For who has connections, and makes no new ones. */
  refresh(): void {
    if (this.#clock() >= this.#nextAtMs && !this.#asking) this.#ask();
  }

  /** How many addresses are gone since the beginning. */
  get gone(): number {
    return this.#gone;
  }

  #ask(): void {
    this.#asking = true;
    this.#lookup(this.#host, (error, found) => this.#onAnswer(error, found));
  }

  #onAnswer(error: Error | null, found: readonly LookupAddress[]): void {
    const atMs = this.#clock();
    this.#asking = false;
    this.#error = error ?? new Error(`${this.#host} has no address`);
    this.#nextAtMs = atMs + ADDRESS_RETRY_MS;
    if (error === null && found.length > 0) {
      this.#nextAtMs = atMs + ADDRESS_REFRESH_MS;
      this.#resolvedAtMs = atMs;
      this.#take(found.map(({ address, family }) => this.#sameOrNew(address, family)));
    }
    for (const waiting of this.#waiting.splice(0)) {
      waiting(this.#known.length > 0 ? this.#inOrder(atMs) : NONE, this.#error);
    }
  }

  /** What is known of an address outlives the answer that it came with. */
  #sameOrNew(text: string, family: number): Address {
    const isIt = (one: Address) => one.text === text;
    return this.#known.find(isIt) ?? this.#missing.find(isIt) ?? addressOf(text, family);
  }

  #take(given: readonly Address[]): void {
    const missing = [...this.#known, ...this.#missing].filter((one) => !given.includes(one));
    for (const one of given) one.missed = 0;
    for (const one of missing) one.missed += 1;
    this.#known = given;
    this.#missing = missing.filter((one) => !isGone(one));
    this.#gone += missing.length - this.#missing.length;
  }

  /** The families take turns, that of the first answer first (RFC 8305 4); within one, each connection begins with another. */
  #inOrder(atMs: number): readonly Address[] {
    if (this.#known.length === 1) return this.#known;
    this.#turn += 1;
    const first = this.#known[0]?.family;
    const preferred = turned(
      this.#known.filter(({ family }) => family === first),
      this.#turn,
    );
    const others = turned(
      this.#known.filter(({ family }) => family !== first),
      this.#turn,
    );
    const mixed = alternated(preferred, others);
    const good = mixed.filter(({ badUntilMs }) => badUntilMs <= atMs);
    return good.length === mixed.length ? mixed : [...good, ...mixed.filter(({ badUntilMs }) => badUntilMs > atMs)];
  }
}

/** Connecting to it failed, or another one was faster. */
export function putBack(address: Address, atMs: number): void {
  address.badUntilMs = atMs + ADDRESS_PENALTY_MS;
}

function addressOf(text: string, family: number): Address {
  return { text, family, badUntilMs: 0, connectMs: 0, missed: 0 };
}

function turned(list: readonly Address[], by: number): readonly Address[] {
  const at = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

function alternated(left: readonly Address[], right: readonly Address[]): Address[] {
  const mixed: Address[] = [];
  for (let i = 0; i < left.length || i < right.length; i += 1)
    mixed.push(...left.slice(i, i + 1), ...right.slice(i, i + 1));
  return mixed;
}

function system(host: string, done: Parameters<Lookup>[1]): void {
  lookup(host, { all: true, order: "verbatim" }, done);
}
