/**
 * What an attempt tells where a request may have two of them: like a Relay, but that the head of a stream waits here for its first event,
 * because only that is an answer. Gateway worker, main thread; created per attempt of a route that hedges. The one of a hedge stands aside:
 * what it tells is of its Side until it is the exchange's own.
 */
import { nowMs } from "../base/clock.ts";
import type { ErrorRow } from "../base/errors.ts";
import { HELD_EVENT_BYTES_MAX } from "../base/limits.ts";
import type { AttemptListener, ResponseHead } from "../upstream/transport.ts";
import { type Exchange, NO_BYTES, PHASE_CONNECTING, PHASE_SENT, PHASE_STREAMING } from "./exchange.ts";
import { failureOfStatus } from "./failure.ts";
import type { Relay } from "./relay.ts";
import type { Side } from "./side.ts";

/** What a racer tells the hedges. */
export interface Race {
  readonly tickMs: number;
  /** Brings an answer. A hedge becomes the exchange's attempt, and the other one is given up. */
  wins(exchange: Exchange, racer: Racer): void;
  /** Of a hedge: `head` is one of a failure, or null. */
  hedgeFails(exchange: Exchange, head: ResponseHead | null, error: ErrorRow | null): void;
  /** Of the attempt that a hedge runs beside: the stream ended before its first event. */
  breaks(exchange: Exchange, error: ErrorRow | null): void;
}

export class Racer implements AttemptListener {
  /** Null: the exchange has all. */
  aside: Side | null = null;
  readonly #exchange: Exchange;
  readonly #relay: Relay;
  readonly #race: Race;
  /** Of a stream without an event yet. */
  #head: ResponseHead | null = null;
  #headMs = 0;
  #held: Uint8Array = NO_BYTES;

  constructor(exchange: Exchange, relay: Relay, race: Race) {
    this.#exchange = exchange;
    this.#relay = relay;
    this.#race = race;
  }

  onConnecting(): void {
    if (this.aside === null) this.#relay.onConnecting();
    else this.#enter(this.aside, PHASE_CONNECTING);
  }

  onSent(): void {
    if (this.aside === null) {
      this.#relay.onSent();
      return;
    }
    this.aside.sent = true;
    this.#enter(this.aside, PHASE_SENT);
  }

  #enter(side: Side, phase: number): void {
    side.attemptPhase = phase;
    side.phase = phase;
    side.progressMs = this.#race.tickMs;
  }

  onHead(head: ResponseHead): void {
    const isFailure = failureOfStatus(head.status) !== 0;
    if (isFailure && this.aside !== null) this.#race.hedgeFails(this.#exchange, head, null);
    else if (isFailure) this.#relay.onHead(head);
    else if (head.status < 300 && head.contentType.startsWith("text/event-stream")) this.#hold(head);
    else {
      this.#race.wins(this.#exchange, this);
      this.#relay.onHead(head);
    }
  }

  #hold(head: ResponseHead): void {
    const at = this.aside ?? this.#exchange;
    this.#head = head;
    this.#headMs = nowMs();
    at.upstreamStatus = head.status;
    at.headMs = this.#headMs;
    at.phase = PHASE_STREAMING;
    at.progressMs = this.#race.tickMs;
  }

  onChunk(chunk: Buffer, isLast: boolean): void {
    if (this.#head === null) {
      this.#relay.onChunk(chunk, isLast);
      return;
    }
    const all = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    (this.aside ?? this.#exchange).progressMs = this.#race.tickMs;
    // Comments keep connections alive, and are no answer.
    if (!all.includes("data:") && all.length <= HELD_EVENT_BYTES_MAX) {
      this.#held = Buffer.from(all);
      return;
    }
    this.#held = all;
    this.#race.wins(this.#exchange, this);
    this.letGo(isLast);
  }

  /** It is the one attempt now: what it had so far goes on its way. */
  letGo(isLast = false): void {
    const head = this.#head;
    if (head === null) return;
    this.#head = null;
    const held = this.#held;
    this.#held = NO_BYTES;
    this.#relay.onHead(head);
    this.#exchange.headMs = this.#headMs;
    if (held.length > 0) this.#relay.onChunk(held as Buffer, isLast);
  }

  onEnd(): void {
    if (this.aside !== null) this.#race.hedgeFails(this.#exchange, null, null);
    else if (this.#head !== null && this.#exchange.hedge !== null) this.#race.breaks(this.#exchange, null);
    else {
      this.letGo();
      this.#relay.onEnd();
    }
  }

  onFail(error: ErrorRow, replayable: boolean, cause = ""): void {
    if (this.aside !== null) this.#race.hedgeFails(this.#exchange, null, replayable ? null : error);
    else if (this.#head !== null && this.#exchange.hedge !== null) this.#race.breaks(this.#exchange, error);
    else {
      this.letGo();
      this.#relay.onFail(error, replayable, cause);
    }
  }
}
