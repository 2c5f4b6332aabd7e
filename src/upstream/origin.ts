/**
 * All connections of one worker to one provider origin. Gateway worker, main thread.
 *
 * Checkout is O(1) from a LIFO free list, so that load runs on few warm connections and the rest grow old and are closed.
 * The number of connections and the queue for them are bounded. Invariant: every connection is either in `#free` or
 * carried by exactly one attempt; `#count` counts both.
 */
import { ERRORS } from "../base/errors.ts";
import type { CountersWriter } from "../shm/counters.ts";
import { COUNTER } from "../shm/layout.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";
import type { Attempt, AttemptListener, Transport, UpstreamRequest } from "./transport.ts";
import { UndiciAttempt } from "./undici-attempt.ts";

export interface OriginBounds {
  readonly connections: number;
  readonly queue: number;
}

export class Origin implements Transport {
  readonly #options: ConnectionOptions;
  readonly #bounds: OriginBounds;
  readonly #counters: CountersWriter;
  readonly #free: Connection[] = [];
  /** In order of arrival: a Set, because an attempt that is cancelled leaves from the middle. */
  readonly #waiting = new Set<UndiciAttempt>();
  #count = 0;
  #retired = false;

  constructor(options: ConnectionOptions, bounds: OriginBounds, counters: CountersWriter) {
    this.#options = options;
    this.#bounds = bounds;
    this.#counters = counters;
  }

  send(request: UpstreamRequest, listener: AttemptListener, fresh: boolean): Attempt {
    const attempt = new UndiciAttempt(request, listener, this);
    const connection = fresh ? this.#open() : (this.#free.pop() ?? this.#open());
    if (connection !== null) this.#begin(attempt, connection);
    else this.#enqueue(attempt);
    return attempt;
  }

  /** An attempt is over and its connection may serve the next. */
  release(connection: Connection): void {
    const [next] = this.#waiting;
    if (next !== undefined) {
      this.#waiting.delete(next);
      this.#begin(next, connection);
    } else if (this.#retired) {
      this.discard(connection);
    } else {
      connection.idleSinceMs = performance.now();
      this.#free.push(connection);
    }
  }

  /** An attempt is over and its connection with it. */
  discard(connection: Connection): void {
    this.#count -= 1;
    connection.destroy();
    const [next] = this.#waiting;
    if (next === undefined) return;
    this.#waiting.delete(next);
    const fresh = this.#open();
    if (fresh !== null) this.#begin(next, fresh);
  }

  /** A queued attempt was cancelled. */
  leaveQueue(attempt: UndiciAttempt): void {
    this.#waiting.delete(attempt);
  }

  /** Closes connections that have been free for longer than the keep-alive. Called by the sweep. */
  closeIdle(nowMs: number): void {
    const before = nowMs - this.#options.keepAliveMs;
    // The list is ordered by time: the oldest are at its bottom.
    while (this.#free[0] !== undefined && this.#free[0].idleSinceMs < before) {
      const connection = this.#free.shift();
      if (connection !== undefined) this.discard(connection);
    }
  }

  /** No longer in any snapshot: free connections close now, the others when their attempt ends. */
  retire(): void {
    this.#retired = true;
    for (const connection of this.#free.splice(0)) this.discard(connection);
  }

  get connections(): number {
    return this.#count;
  }

  #open(): Connection | null {
    if (this.#count >= this.#bounds.connections) return null;
    this.#count += 1;
    return new Connection(this.#options, this.#counters);
  }

  #enqueue(attempt: UndiciAttempt): void {
    if (this.#waiting.size >= this.#bounds.queue) {
      attempt.refuse(ERRORS.upstreamQueueFull);
      return;
    }
    this.#counters.add(COUNTER.queueWaits, 1);
    this.#waiting.add(attempt);
  }

  #begin(attempt: UndiciAttempt, connection: Connection): void {
    if (connection.requests > 0) this.#counters.add(COUNTER.upstreamReuses, 1);
    attempt.begin(connection);
  }
}
