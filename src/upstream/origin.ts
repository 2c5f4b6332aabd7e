/**
 * All connections of one worker to one provider origin, for both kinds of connection. Gateway worker, main thread.
 *
 * Checkout is O(1) from a LIFO free list, so that load runs on few warm connections and the rest grow old and are closed.
 * The number of connections and the queue for them are bounded. Invariant: a connection that is not gone is in `#free`
 * exactly if it is made and has a free place; `#count` counts all that are not gone.
 */
import { nowMs } from "../base/clock.ts";
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import type { CountersWriter } from "../shm/counters.ts";
import { COUNTER } from "../shm/layout.ts";
import type { Connection } from "./connection.ts";
import type { Attempt, AttemptListener, Transport, UpstreamRequest } from "./transport.ts";

export interface OriginBounds {
  readonly connections: number;
  readonly queue: number;
  /** After which a free connection is closed. */
  readonly keepAliveMs: number;
}

/** An attempt as Origin starts it. */
export interface PooledAttempt<C extends Connection> extends Attempt {
  /** With a connection that is now this attempt's, and may not be made yet. */
  begin(connection: C): void;
  /** Instead of begin(). */
  refuse(error: ErrorRow): void;
}

/** One kind of connection to one origin. */
export interface Wire<C extends Connection> {
  /** Attempts that a new connection is expected to carry at a time: HTTP/2 has many. */
  readonly places: number;
  /** As in Transport. */
  readonly growing: boolean;
  open(origin: Origin<C>): C;
  /** Called by Origin's sweep while it has connections; true: some have become outdated. */
  sweep(): boolean;
  attempt(request: UpstreamRequest, listener: AttemptListener, origin: Origin<C>): PooledAttempt<C>;
}

export class Origin<C extends Connection = Connection> implements Transport {
  readonly growing: boolean;
  readonly #wire: Wire<C>;
  readonly #bounds: OriginBounds;
  readonly #counters: CountersWriter;
  readonly #free: C[] = [];
  /** In order of arrival: a Set, because an attempt that is cancelled leaves from the middle. */
  readonly #waiting = new Set<PooledAttempt<C>>();
  #count = 0;
  /** Connections that are being made. */
  #connecting = 0;
  /** What the last one that was made turned out to carry. */
  #places: number;
  #retired = false;
  #tickMs = nowMs();

  constructor(wire: Wire<C>, bounds: OriginBounds, counters: CountersWriter) {
    this.growing = wire.growing;
    this.#wire = wire;
    this.#places = wire.places;
    this.#bounds = bounds;
    this.#counters = counters;
  }

  send(request: UpstreamRequest, listener: AttemptListener, fresh: boolean): Attempt {
    const attempt = this.#wire.attempt(request, listener, this);
    const connection = fresh ? this.#open() : (this.#take() ?? this.#openIfNeeded());
    if (connection !== null) this.#begin(attempt, connection);
    else this.#enqueue(attempt);
    return attempt;
  }

  get spare(): boolean {
    const used = this.#count - this.#free.length;
    return this.#waiting.size === 0 && used * 2 < this.#bounds.connections;
  }

  /** A connection is made, and can carry `places` attempts. */
  connected(connection: C, places: number): void {
    connection.connected = true;
    this.#connecting -= 1;
    this.#counters.add(COUNTER.upstreamConnects, 1);
    this.#counters.add(COUNTER.gaugeUpstreamConnections, 1);
    this.#places = places;
    connection.places = places;
    if (connection.attempts < places) this.#free.push(connection);
    this.#serveWaiting();
  }

  /** A connection broke under an attempt that was not begun, and is made once more for it. */
  reconnecting(connection: C): void {
    connection.connected = false;
    connection.requests = 0;
    this.#connecting += 1;
    this.#counters.add(COUNTER.gaugeUpstreamConnections, -1);
  }

  /** An attempt is over and its connection may serve the next. */
  release(connection: C): void {
    connection.attempts -= 1;
    if (connection.gone) {
      if (connection.attempts === 0) connection.close();
      return;
    }
    if (connection.attempts === 0 && connection.isOutdated()) {
      this.discard(connection);
      return;
    }
    const next = this.#nextWaiting();
    if (next !== null) {
      connection.attempts += 1;
      this.#begin(next, connection);
    } else if (this.#retired && connection.attempts === 0) {
      this.discard(connection);
    } else {
      if (connection.attempts === connection.places - 1) this.#free.push(connection);
      if (connection.attempts === 0) this.#rest(connection);
    }
  }

  #rest(connection: C): void {
    connection.idleUntilMs = this.#tickMs + Math.min(this.#bounds.keepAliveMs, connection.keepAliveMs);
  }

  /** A connection is broken, or is not wanted any more. Attempts on it are told, or were. */
  discard(connection: C): void {
    if (connection.gone) return;
    connection.gone = true;
    this.#count -= 1;
    if (connection.connected) this.#counters.add(COUNTER.gaugeUpstreamConnections, -1);
    else this.#connecting -= 1;
    connection.close();
    this.#serveWaiting();
  }

  /** A free connection had ended, or would answer with what nobody asked for: nothing was sent, so another one carries it. */
  replace(connection: C, attempt: PooledAttempt<C>): void {
    this.discard(connection);
    // A new one first: the other free ones may have ended as well.
    const other = this.#open() ?? this.#take();
    if (other !== null) this.#begin(attempt, other);
    else this.#enqueue(attempt);
  }

  /** A queued attempt was cancelled. */
  leaveQueue(attempt: PooledAttempt<C>): void {
    this.#waiting.delete(attempt);
  }

  /** Closes connections that have been free for too long. Called by the sweep. */
  sweep(tickMs: number): void {
    this.#tickMs = tickMs;
    if (this.#count > 0 && this.#wire.sweep()) this.#closeFree((connection) => connection.isOutdated());
    // The list is ordered by time, so the oldest are at its bottom; #take() finds those above that may be free for a shorter time.
    for (let oldest = this.#free[0]; oldest !== undefined; oldest = this.#free[0]) {
      if (!oldest.gone && !this.#isOld(oldest)) return;
      this.#free.shift();
      this.discard(oldest);
    }
  }

  /** No longer in any snapshot: free connections close now, the others when their attempts end. */
  retire(): void {
    this.#retired = true;
    this.#closeFree(() => true);
  }

  #closeFree(which: (connection: C) => boolean): void {
    for (const connection of [...this.#free]) {
      if (connection.attempts === 0 && which(connection)) this.discard(connection);
    }
  }

  get connections(): number {
    return this.#count;
  }

  /** A place on the connection that was used last; one that has no further place leaves the list. */
  #take(): C | null {
    for (let last = this.#free.at(-1); last !== undefined; last = this.#free.at(-1)) {
      const good = !last.gone && !this.#isOld(last);
      if (good) last.attempts += 1;
      if (!good || last.attempts === last.places) this.#free.pop();
      if (good) return last;
      this.discard(last);
    }
    return null;
  }

  #isOld(connection: C): boolean {
    return connection.attempts === 0 && connection.idleUntilMs < this.#tickMs;
  }

  /** None where those that are being made are expected to carry all who wait. */
  #openIfNeeded(): C | null {
    return this.#waiting.size < this.#connecting * (this.#places - 1) ? null : this.#open();
  }

  #open(): C | null {
    if (this.#count >= this.#bounds.connections) return null;
    this.#count += 1;
    this.#connecting += 1;
    const connection = this.#wire.open(this);
    connection.attempts = 1;
    return connection;
  }

  #enqueue(attempt: PooledAttempt<C>): void {
    if (this.#waiting.size >= this.#bounds.queue) {
      attempt.refuse(ERRORS.upstreamQueueFull);
      return;
    }
    this.#counters.add(COUNTER.queueWaits, 1);
    this.#waiting.add(attempt);
  }

  #nextWaiting(): PooledAttempt<C> | null {
    if (this.#waiting.size === 0) return null;
    const [next = null] = this.#waiting;
    if (next !== null) this.#waiting.delete(next);
    return next;
  }

  /** As many as there are places for, or may be connections. */
  #serveWaiting(): void {
    while (this.#waiting.size > 0) {
      const connection = this.#take() ?? this.#openForWaiting();
      if (connection === null) return;
      const next = this.#nextWaiting();
      if (next !== null) this.#begin(next, connection);
    }
  }

  /** The first of those who wait opens a connection, so it is not among those that others are expected to carry. */
  #openForWaiting(): C | null {
    return this.#waiting.size - 1 < this.#connecting * (this.#places - 1) ? null : this.#open();
  }

  #begin(attempt: PooledAttempt<C>, connection: C): void {
    if (connection.requests > 0) this.#counters.add(COUNTER.upstreamReuses, 1);
    attempt.begin(connection);
  }
}
