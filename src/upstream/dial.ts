/**
 * One native connection on its way (RFC 8305): the host's addresses are tried one after the other, the next one when the last
 * failed or has not connected for a while, and the first that connects is taken. Gateway worker. No timer: the sweep looks
 * at all of them, so the while is late by at most one sweep.
 */
import { nowMs } from "../base/clock.ts";
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import { ADDRESS_HEAD_START_MS } from "../base/limits.ts";
import { native } from "../native/native.ts";
import { CAUSE_SYSTEM } from "../native/upstream.ts";
import { type Address, type Addresses, putBack } from "./addresses.ts";
import { closeSocket, connectSocket, own, type SocketOwner } from "./native-events.ts";
import type { TlsContext } from "./tls-context.ts";

/** Where a connection goes. */
export interface Destination {
  readonly addresses: Addresses;
  readonly port: number;
  /** Null: plain. */
  readonly tls: TlsContext | null;
  /** Asked for and verified. */
  readonly serverName: string;
}

/** Who wants the connection. Told one of both, once and never at once, unless cancel() comes first. */
export interface Dialer {
  onDialed(socket: number, address: Address): void;
  onDialFailed(error: ErrorRow, cause: string): void;
}

const dials = new Set<Dial>();

/** Goes on with addresses whose time is up. Called by the sweep. */
export function sweepDials(atMs: number): void {
  for (const dial of dials) dial.sweep(atMs);
}

export class Dial {
  readonly #destination: Destination;
  readonly #dialer: Dialer;
  /** Not tried yet, in order. */
  #untried: readonly Address[] = [];
  readonly #candidates = new Set<Candidate>();
  #headStartUntilMs = Infinity;
  /** Of the first address that could be reached, and what became of all. */
  #error: ErrorRow = ERRORS.upstreamUnreachable;
  #cause = "";
  #over = false;

  constructor(destination: Destination, dialer: Dialer) {
    this.#destination = destination;
    this.#dialer = dialer;
    dials.add(this);
    destination.addresses.get((addresses, error) => this.#onAddresses(addresses, error));
  }

  cancel(): void {
    this.#end();
  }

  sweep(atMs: number): void {
    if (atMs >= this.#headStartUntilMs) this.#tryNext();
  }

  #onAddresses(addresses: readonly Address[], error: Error | null): void {
    if (this.#over) return;
    this.#untried = addresses;
    if (addresses.length > 0) this.#tryNext();
    else this.#fail(error?.message ?? "");
  }

  #tryNext(): void {
    const [next, ...others] = this.#untried;
    this.#headStartUntilMs = Infinity;
    if (next === undefined) return;
    this.#untried = others;
    const { port, tls, serverName } = this.#destination;
    const id = connectSocket(next.text, port, tls === null ? -1 : tls.id, serverName);
    const candidate = new Candidate(id, next, this);
    this.#candidates.add(candidate);
    if (id < 0) {
      setImmediate(() => this.onFailed(candidate, ERRORS.upstreamUnreachable, "there are too many connections"));
      return;
    }
    own(candidate);
    // A far one is not slow: as long as it took the last time, and again.
    if (others.length > 0) this.#headStartUntilMs = nowMs() + Math.max(ADDRESS_HEAD_START_MS, 2 * next.connectMs);
  }

  onConnected(winner: Candidate): void {
    this.#candidates.delete(winner);
    for (const { address, startedMs } of this.#candidates) if (startedMs < winner.startedMs) putBack(address, nowMs());
    this.#end();
    this.#dialer.onDialed(winner.id, winner.address);
  }

  onFailed(candidate: Candidate, error: ErrorRow, cause: string): void {
    if (this.#over) return;
    closeSocket(candidate.id);
    this.#candidates.delete(candidate);
    putBack(candidate.address, nowMs());
    if (this.#error === ERRORS.upstreamUnreachable) this.#error = error;
    const { text } = candidate.address;
    const told = `connect to ${text} port ${this.#destination.port}: ${cause}`;
    this.#cause = this.#cause === "" ? told : `${this.#cause}; ${told}`;
    this.#tryNext();
    if (this.#candidates.size === 0) this.#fail(this.#cause);
  }

  #fail(cause: string): void {
    this.#end();
    this.#dialer.onDialFailed(this.#error, cause);
  }

  #end(): void {
    this.#over = true;
    dials.delete(this);
    for (const { id } of this.#candidates) closeSocket(id);
    this.#candidates.clear();
  }
}

/** The attempt at one address. */
class Candidate implements SocketOwner {
  readonly id: number;
  readonly address: Address;
  readonly #dial: Dial;
  readonly startedMs = nowMs();

  constructor(id: number, address: Address, dial: Dial) {
    this.id = id;
    this.address = address;
    this.#dial = dial;
  }

  onConnected(): void {
    this.address.connectMs = nowMs() - this.startedMs;
    this.address.badUntilMs = 0;
    this.#dial.onConnected(this);
  }

  /** All but errors of the system are of the handshake, a connection that ends in it too. */
  onConnectFailed(cause: number, detail: number): void {
    const error = cause === CAUSE_SYSTEM ? systemFailure(detail) : ERRORS.upstreamTls;
    this.#dial.onFailed(this, error, native.upstreamReason(cause, detail));
  }

  // What only a connection that is made can tell.
  onHead(): void {}
  onBody(): void {}
  onEnd(): void {}
  onFail(): void {}
  onClosed(): void {}
}

const ETIMEDOUT = 110;

function systemFailure(errno: number): ErrorRow {
  return Math.abs(errno) === ETIMEDOUT ? ERRORS.upstreamConnectTimeout : ERRORS.upstreamUnreachable;
}
