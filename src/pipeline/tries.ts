/**
 * The tries of a request: the attempt that runs, and the one that comes in its place when it failed before its answer was passed on. One
 * per gateway worker, main thread. At any time a request has one attempt, beside which a hedge may run, or stands in a pause before the
 * next one.
 */
import { assert } from "../base/assert.ts";
import { nowMs, wallMs } from "../base/clock.ts";
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import { type Credential, failureBit, type Provider, type Target } from "../config/snapshot.ts";
import { COUNTER, FALLBACKS, RETRIES } from "../shm/layout.ts";
import { KIND_TRY } from "../telemetry/record.ts";
import type { AttemptListener, ResponseHead, Transport } from "../upstream/transport.ts";
import { book } from "./booking.ts";
import { canaryFailure, notePassedOver } from "./canary.ts";
import { CREDENTIAL_REFUSED } from "./credential.ts";
import { type CredentialHealth, waitForCredentialMs } from "./credential-health.ts";
import { noteTry } from "./decision.ts";
import { type Exchange, PHASE_OVER, PHASE_PAUSE, PHASE_QUEUED } from "./exchange.ts";
import { CLIENT_ERROR, failureOf, failureOfStatus, retryAfterMs } from "./failure.ts";
import { failureOfEvents } from "./failure-text.ts";
import { upstreamRequest, withCredential } from "./forward.ts";
import { Hedges } from "./hedge.ts";
import { noteHead } from "./lessons.ts";
import { adviseRetry } from "./limit-headers.ts";
import { readBody } from "./read-body.ts";
import { Relay, type RelayOwner } from "./relay.ts";
import { NO_MORE, Retrier } from "./retries.ts";
import { enterTarget, leaveTarget } from "./route.ts";
import { type Books, releaseScan } from "./settle.ts";
import { unsplice } from "./splice.ts";
import type { TargetHealth } from "./target-health.ts";
import type { Wheel } from "./wheel.ts";

const REFUSED_CREDENTIAL = failureBit("credential");

export interface TriesParts {
  readonly owner: RelayOwner;
  readonly transportOf: (provider: Provider) => Transport | undefined;
  readonly books: Books;
  readonly health: TargetHealth;
  readonly credentials: CredentialHealth;
  /** Of everything in flight: a pause ends in it. */
  readonly wheel: Wheel<Exchange>;
}

export class Tries {
  readonly #owner: RelayOwner;
  readonly #transportOf: (provider: Provider) => Transport | undefined;
  readonly #books: Books;
  readonly #health: TargetHealth;
  readonly #credentials: CredentialHealth;
  readonly #wheel: Wheel<Exchange>;
  readonly #retrier = new Retrier(Math.random);
  readonly #hedges: Hedges;

  constructor(parts: TriesParts) {
    const { owner, transportOf, books, health, credentials, wheel } = parts;
    this.#hedges = new Hedges({ ...parts, chance: Math.random });
    this.#owner = owner;
    this.#transportOf = transportOf;
    this.#books = books;
    this.#health = health;
    this.#credentials = credentials;
    this.#wheel = wheel;
  }

  /** Before the body is spliced for the first time. */
  prepare(exchange: Exchange): void {
    exchange.splices = [];
    this.#retrier.request(exchange, wallMs(this.#owner.tickMs));
    if (exchange.route?.hedge != null) this.#hedges.request(exchange.route);
  }

  /** `fresh`: on a new connection. */
  attempt(exchange: Exchange, fresh: boolean): void {
    const { request } = exchange;
    const transport = exchange.target === null ? undefined : this.#transportOf(exchange.target.provider);
    if (request === null || transport === undefined) {
      this.#owner.refuse(exchange, ERRORS.upstreamUnreachable);
      return;
    }
    exchange.attempts += 1;
    enterTarget(exchange);
    exchange.enterAttempt(PHASE_QUEUED, this.#owner.tickMs);
    const attempt = transport.send(request, this.#listenerOf(exchange), fresh);
    // A failure may have been told, and even replayed, before send returned.
    if (exchange.phase !== PHASE_OVER && exchange.attempt === null) exchange.attempt = attempt;
  }

  #listenerOf(exchange: Exchange): AttemptListener {
    const rules = exchange.route === null ? null : exchange.route.hedge;
    return rules === null ? new Relay(exchange, this.#owner) : this.#hedges.racerOf(exchange, rules);
  }

  /** A reused connection turned out to be closed: the provider saw nothing, so once more on a new one. */
  replay(exchange: Exchange): void {
    exchange.replayed = true;
    this.#books.counters.add(COUNTER.staleReplays, 1);
    this.attempt(exchange, true);
  }

  /** An attempt ended without an answer. False: that is what the client is told. */
  fails(exchange: Exchange, error: ErrorRow): boolean {
    this.#health.error(exchange, error, wallMs(nowMs()));
    if (exchange.hedge !== null && !ENDS.has(error)) return this.#hedges.adopt(exchange, failureOf(error), error);
    const failure = failureOf(error);
    return this.#tryAgain(exchange, failure, 0, error) || isTold(exchange, failure, "");
  }

  /** As in RelayOwner. */
  passesOver(exchange: Exchange, head: ResponseHead): boolean {
    if (exchange.choice === null && !mayTryAgain(exchange)) return false;
    const failure = failureOfStatus(head.status);
    const atMs = wallMs(nowMs());
    const askedMs = failure === 0 ? 0 : retryAfterMs(head.lines, atMs);
    const bad = exchange.credential;
    const credential = this.#credentials.answer(exchange, head.status, askedMs, atMs);
    if (credential !== null) {
      this.#sendWith(exchange, credential, bad, failure);
      return true;
    }
    const waitMs = waitForCredentialMs(exchange, askedMs, atMs);
    noteHead(exchange, head, waitMs, atMs);
    // Of a good answer its first bytes tell.
    if (head.status >= CLIENT_ERROR) this.#health.answer(exchange, failure, waitMs, atMs);
    if (failure !== 0 && exchange.hedge !== null) return this.#hedges.adopt(exchange, failure, null);
    const kind = failure === 0 ? canaryFailure(exchange, head.status) : failure;
    return this.#tryAgain(exchange, kind, waitMs, null) || isTold(exchange, kind, head.lines);
  }

  /** As in RelayOwner. */
  answers(exchange: Exchange): void {
    this.#health.answer(exchange, 0, 0, wallMs(nowMs()));
  }

  /** As in RelayOwner. */
  passesOverText(exchange: Exchange, failure: number): boolean {
    if (failure !== REFUSED_CREDENTIAL) return this.#tryAgain(exchange, failure, 0, null);
    const bad = exchange.credential;
    const credential = this.#credentials.bad(exchange, CREDENTIAL_REFUSED, 0, wallMs(nowMs()));
    if (credential === null) return this.#tryAgain(exchange, failure, 0, null);
    this.#sendWith(exchange, credential, bad, failure);
    return true;
  }

  /** As in RelayOwner. */
  passesOverEvents(exchange: Exchange, events: Buffer): boolean {
    const failure = failureOfEvents(events, exchange.route?.fallbacks?.read ?? 0);
    this.#health.answer(exchange, failure, 0, wallMs(nowMs()));
    if (failure !== 0 && exchange.hedge !== null) return this.#hedges.adopt(exchange, failure, null);
    return this.#tryAgain(exchange, failure, 0, null);
  }

  /** False: what happened is the client's answer. */
  #tryAgain(exchange: Exchange, failure: number, waitMs: number, error: ErrorRow | null): boolean {
    if (failure === 0 || !mayTryAgain(exchange)) return false;
    const { target } = exchange;
    exchange.hedgeAtMs = Infinity;
    leaveTarget(exchange);
    const atMs = nowMs();
    const pauseMs = this.#retrier.next(exchange, failure, waitMs, atMs, wallMs(atMs));
    if (pauseMs === NO_MORE) return false;
    if (target !== null) {
      noteTry(exchange, target, failure);
      this.#book(exchange, target, error);
    }
    takeBack(exchange);
    if (exchange.route?.arm?.judged === true) notePassedOver(exchange);
    exchange.attempt?.cancel();
    exchange.attempt = null;
    if (pauseMs === 0) this.#next(exchange, FALLBACKS);
    else this.#pause(exchange, pauseMs);
    return true;
  }

  /** A try that another one follows: the provider may work on it still, and bill it. */
  #book(exchange: Exchange, target: Target, error: ErrorRow | null): void {
    const { sent, upstreamStatus, scan, seen, credential } = exchange;
    book(exchange, KIND_TRY, target, { sent, upstreamStatus, error, scan, seen, credential }, this.#books);
  }

  /** The same try at once with another credential than the one at place `bad`: its target has not failed. */
  #sendWith(exchange: Exchange, credential: Credential, bad: number, failure: number): void {
    const { target } = exchange;
    assert(target !== null, "a try has a target");
    noteTry(exchange, target, failure, bad);
    exchange.attempt?.cancel();
    forget(exchange);
    exchange.rotations += 1;
    exchange.request = withCredential(exchange, target, credential);
    this.attempt(exchange, false);
  }

  #pause(exchange: Exchange, pauseMs: number): void {
    exchange.pauseMs = pauseMs;
    // What the last try used is booked: a client that leaves now uses no more.
    exchange.sent = false;
    exchange.enter(PHASE_PAUSE, nowMs());
    // Its place in the wheel is that of a timeout, and later.
    this.#wheel.remove(exchange);
    this.#wheel.add(exchange, exchange.progressMs + pauseMs);
  }

  /** Called when it is looked at: its pause may be over, or a hedge be due. */
  look(exchange: Exchange): void {
    if (exchange.hedgeAtMs !== Infinity) this.#hedges.look(exchange);
    const isOver = exchange.phase === PHASE_PAUSE && this.#owner.tickMs >= exchange.progressMs + exchange.pauseMs;
    if (isOver) this.#next(exchange, RETRIES);
  }

  /** Whatever ends an exchange ends its hedge. */
  dropHedge(exchange: Exchange): void {
    if (exchange.hedge !== null) this.#hedges.drop(exchange);
  }

  /** The client's body once more, with what this target needs in it. */
  #next(exchange: Exchange, counter: number): void {
    this.#books.counters.add(counter, 1);
    forget(exchange);
    unsplice(exchange);
    const { target } = exchange;
    assert(target !== null, "a try has a target");
    const error = readBody(exchange);
    if (error !== null) {
      this.#owner.refuse(exchange, error);
      return;
    }
    exchange.splices = [];
    exchange.request = upstreamRequest(exchange, target);
    this.attempt(exchange, false);
  }
}

/** False: what happened is the client's answer. `lines`: of the provider's head, if it sent one. */
function isTold(exchange: Exchange, failure: number, lines: string): false {
  if (failure !== 0 && exchange.roomAtMs !== Infinity) adviseRetry(exchange, lines, nowMs());
  return false;
}

/** Ends of a request, and not of an attempt only. */
const ENDS = new Set<ErrorRow>([ERRORS.upstreamTotalTimeout, ERRORS.drainDeadline]);

/** Of an answer that had begun, while nothing of it was with the client. */
function takeBack(exchange: Exchange): void {
  releaseScan(exchange);
  exchange.seen = 0;
  exchange.status = 0;
  exchange.eventStream = false;
  exchange.held = null;
}

/** What the attempt before left. */
function forget(exchange: Exchange): void {
  // One that failed before send() returned may stand there.
  exchange.attempt = null;
  exchange.headMs = 0;
  exchange.firstChunkMs = 0;
  exchange.answerLength = -1;
  exchange.upstreamStatus = 0;
  exchange.sent = false;
  exchange.failureCause = "";
  exchange.request = null;
}

/** So its body has to be kept as it is. */
export function mayTryAgain({ route }: Exchange): boolean {
  return route?.repeats === true;
}
