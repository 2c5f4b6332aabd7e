/**
 * Shadow traffic: copies of requests to another target, whose answers nobody sees. Gateway worker, main thread. A copy is made when its
 * request goes upstream, begins in a turn of its own after that one was sent, and is booked apart; it has no retry, no breaker and no limit. It is left out,
 * and counted by the reason, rather than that it takes anything from requests: memory beyond a bound, or a connection that they may want soon.
 */

import { nowMs } from "../base/clock.ts";
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import { SHADOW_ANSWER_BYTES_MAX, SHADOW_BYTES_IN_FLIGHT_MAX, SPLICE_ROOM_BYTES } from "../base/limits.ts";
import { SHADOW_DROPS, type ShadowDrop } from "../base/shadow-drops.ts";
import type { Provider, Shadow } from "../config/snapshot.ts";
import { SHADOW_BYTES_IN_FLIGHT, SHADOW_DROP_0, SHADOW_FAILURES, SHADOWS, SHADOWS_IN_FLIGHT } from "../shm/layout.ts";
import { KIND_SHADOW } from "../telemetry/record.ts";
import type { Transport } from "../upstream/transport.ts";
import { book } from "./booking.ts";
import { overdue } from "./deadlines.ts";
import { type Downstream, Exchange, PHASE_OVER, PHASE_QUEUED } from "./exchange.ts";
import { CLIENT_ERROR } from "./failure.ts";
import { upstreamRequest } from "./forward.ts";
import { Relay, type RelayOwner } from "./relay.ts";
import { type Books, releaseScan } from "./settle.ts";

/** Nobody: what is written is counted, and gone. */
class Nowhere implements Downstream {
  readonly closed = false;
  readonly blocked = false;
  readonly #onTooMuch: () => void;
  readonly #onEnd: () => void;
  #left = SHADOW_ANSWER_BYTES_MAX;

  constructor(onTooMuch: () => void, onEnd: () => void) {
    this.#onTooMuch = onTooMuch;
    this.#onEnd = onEnd;
  }

  address(): Uint8Array {
    return new Uint8Array(0);
  }

  reply(): void {}

  begin(): void {}

  write(chunk: Uint8Array): void {
    const before = this.#left;
    this.#left -= chunk.length;
    if (this.#left < 0 && before >= 0) this.#onTooMuch();
  }

  end(): void {
    this.#onEnd();
  }

  cut(): void {}
}

export interface ShadowParts {
  readonly transportOf: (provider: Provider) => Transport | undefined;
  readonly books: Books;
  readonly chance: () => number;
}

export class ShadowTraffic implements RelayOwner {
  tickMs = nowMs();
  /** No more copies are made. */
  draining = false;
  readonly #transportOf: (provider: Provider) => Transport | undefined;
  readonly #books: Books;
  readonly #chance: () => number;
  /** Copies that are made: they wait for their requests, or run. */
  readonly #copies = new Set<Exchange>();
  #bytes = 0;

  constructor({ transportOf, books, chance }: ShadowParts) {
    this.#transportOf = transportOf;
    this.#books = books;
    this.#chance = chance;
  }

  /** In the turn in which the body was read, and before anything is spliced into it. */
  prepare(exchange: Exchange, shadow: Shadow): void {
    if (this.#chance() >= shadow.share) return;
    const drop = this.#obstacle(exchange, shadow);
    if (drop !== null) {
      this.#countDrop(drop);
      return;
    }
    const copy = this.#copyOf(exchange, shadow);
    this.#copies.add(copy);
    this.#bytes += copy.bodyReserved;
    copy.request = upstreamRequest(copy, shadow.route.target);
    exchange.shadow = copy;
  }

  /** A request that goes upstream while it arrives has no copy. */
  pass(shadow: Shadow): void {
    if (this.#chance() < shadow.share) this.#countDrop("upload");
  }

  #obstacle({ bodyBytes, body }: Exchange, { inFlight }: Shadow): ShadowDrop | null {
    if (this.draining || body === null) return "draining";
    if (this.#copies.size >= inFlight) return "in_flight";
    return this.#bytes + bodyBytes + SPLICE_ROOM_BYTES > SHADOW_BYTES_IN_FLIGHT_MAX ? "bytes" : null;
  }

  #copyOf(exchange: Exchange, { route }: Shadow): Exchange {
    const down = new Nowhere(
      () => this.#endAs(copy, ERRORS.upstreamProtocol),
      () => this.#close(copy),
    );
    const copy = new Exchange(exchange.snapshot, down, nowMs(), false);
    copy.method = exchange.method;
    copy.methodNumber = exchange.methodNumber;
    copy.path = exchange.path;
    copy.query = exchange.query;
    copy.lines = exchange.lines;
    copy.requestId = exchange.requestId;
    copy.contentType = exchange.contentType;
    copy.acceptEncoding = exchange.acceptEncoding;
    copy.endpoint = exchange.endpoint;
    copy.key = exchange.key;
    copy.model = exchange.model;
    copy.stream = exchange.stream;
    copy.textBytes = exchange.textBytes;
    copy.outputTokensMax = exchange.outputTokensMax;
    copy.route = route;
    copy.target = route.target;
    copy.bodyBytes = exchange.bodyBytes;
    copy.bodyReserved = exchange.bodyBytes + SPLICE_ROOM_BYTES;
    copy.body = Buffer.allocUnsafeSlow(copy.bodyReserved);
    exchange.body?.copy(copy.body, 0, 0, exchange.bodyBytes);
    return copy;
  }

  /** The request is on its way: its copy follows when this turn is over. */
  mirror(exchange: Exchange): void {
    const { shadow } = exchange;
    exchange.shadow = null;
    if (shadow !== null) setImmediate(() => this.#send(shadow));
  }

  /** The request did not go upstream. */
  forget(exchange: Exchange): void {
    const { shadow } = exchange;
    exchange.shadow = null;
    if (shadow === null) return;
    this.#countDrop("not_sent");
    this.#close(shadow);
  }

  #send(copy: Exchange): void {
    const { request, target } = copy;
    if (request === null || target === null || copy.phase === PHASE_OVER) return;
    const transport = this.#transportOf(target.provider);
    if (transport?.spare !== true) {
      this.#countDrop("busy");
      this.#close(copy);
      return;
    }
    this.#books.counters.add(SHADOWS, 1);
    copy.attempts = 1;
    copy.enterAttempt(PHASE_QUEUED, this.tickMs);
    const attempt = transport.send(request, new Relay(copy, this), false);
    // A failure may have been told before send returned.
    if (copy.phase !== PHASE_OVER && copy.attempt === null) copy.attempt = attempt;
  }

  #countDrop(drop: ShadowDrop): void {
    this.#books.counters.add(SHADOW_DROP_0 + SHADOW_DROPS.indexOf(drop), 1);
  }

  /** Ends those that are overdue, and publishes the gauges. */
  sweep(tickMs: number): void {
    this.tickMs = tickMs;
    for (const copy of this.#copies) {
      const error = copy.attempts === 0 ? null : overdue(copy, tickMs);
      if (error !== null) this.#endAs(copy, error);
    }
    this.#books.counters.set(SHADOWS_IN_FLIGHT, this.#copies.size);
    this.#books.counters.set(SHADOW_BYTES_IN_FLIGHT, this.#bytes);
  }

  endAll(): void {
    for (const copy of this.#copies) this.#endAs(copy, ERRORS.drainDeadline);
  }

  #endAs(copy: Exchange, error: ErrorRow): void {
    copy.attempt?.cancel();
    copy.attempt = null;
    copy.error = error;
    this.settle(copy);
    this.#close(copy);
  }

  #close(copy: Exchange): void {
    if (!this.#copies.delete(copy)) return;
    copy.phase = PHASE_OVER;
    copy.held = null;
    this.releaseBody(copy);
    releaseScan(copy);
  }

  releaseBody(copy: Exchange): void {
    this.#bytes -= copy.bodyReserved;
    copy.bodyReserved = 0;
    copy.body = null;
    copy.request = null;
  }

  settle(copy: Exchange): void {
    const { target } = copy;
    if (copy.settled || target === null) return;
    copy.settled = true;
    if (copy.error !== null || copy.upstreamStatus >= CLIENT_ERROR) this.#books.counters.add(SHADOW_FAILURES, 1);
    book(copy, KIND_SHADOW, target, copy, this.#books);
  }

  goesOn(): boolean {
    return true;
  }

  onGap(): void {}

  refuse(copy: Exchange, error: ErrorRow): void {
    this.#endAs(copy, error);
  }

  breakOff(copy: Exchange, error: ErrorRow): void {
    this.#endAs(copy, error);
  }

  replay(copy: Exchange): void {
    this.#endAs(copy, ERRORS.upstreamReset);
  }

  fail(copy: Exchange, error: ErrorRow): void {
    this.#endAs(copy, error);
  }

  passesOver(): boolean {
    return false;
  }

  answers(): void {}

  passesOverText(): boolean {
    return false;
  }

  passesOverEvents(): boolean {
    return false;
  }
}
