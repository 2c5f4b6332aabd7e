/**
 * The request path: the order of the steps, and nothing else. One per gateway worker, main thread. Every exchange is in
 * `#inFlight` from its head until its last byte is handed over or its client is gone, and is settled exactly once.
 */
import { assert } from "../base/assert.ts";
import { nowMs, wallMs } from "../base/clock.ts";
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import { EXCHANGES_IN_FLIGHT_MAX } from "../base/limits.ts";
import type { Provider, Snapshot, Target } from "../config/snapshot.ts";
import { scansOpen } from "../providers/response-scan.ts";
import type { CountersWriter } from "../shm/counters.ts";
import { COUNTER, GAUGE_SHEDDING, GAUGE_WAITING, SHED } from "../shm/layout.ts";
import type { ResponseHead, Transport } from "../upstream/transport.ts";
import { admitSomewhere } from "./admit.ts";
import { authenticate } from "./authenticate.ts";
import { noteEnd } from "./canary.ts";
import type { CredentialChange } from "./credential.ts";
import { CredentialHealth } from "./credential-health.ts";
import { lookMs, overdue } from "./deadlines.ts";
import { classify, ENDPOINT_MODELS } from "./endpoint.ts";
import {
  type Downstream,
  Exchange,
  PHASE_FLUSHING,
  PHASE_OVER,
  PHASE_WAITING,
  type RequestHandler,
  type Verdict,
} from "./exchange.ts";
import type { Moment } from "./explain.ts";
import { noteLimits } from "./explain-header.ts";
import { uploadRequest, upstreamRequest } from "./forward.ts";
import { recordGap } from "./latencies.ts";
import type { Limiter } from "./limit.ts";
import { modelsBody } from "./models.ts";
import { takeTimeout } from "./override.ts";
import { readBody, readPart } from "./read-body.ts";
import type { RelayOwner } from "./relay.ts";
import { answerError, errorBody, errorEvent, SHED_HEAD } from "./rescue.ts";
import { ownHead } from "./response-head.ts";
import { leaveTarget, route, routeEarly } from "./route.ts";
import { type Books, releaseScan, settle } from "./settle.ts";
import { ShadowTraffic } from "./shadow.ts";
import { type BreakerChange, TargetHealth } from "./target-health.ts";
import { mayTryAgain, Tries } from "./tries.ts";
import { type Trouble, Troubles } from "./trouble.ts";
import { type Loop, Turns } from "./turns.ts";
import { Upload } from "./upload.ts";
import { takeUser } from "./user-header.ts";
import { type WaitOwner, WaitQueue } from "./wait-queue.ts";
import { Wheel } from "./wheel.ts";

const OK = 200;

export interface PipelineParts extends Books, Loop {
  readonly snapshot: Snapshot;
  readonly transportOf: (provider: Provider) => Transport | undefined;
  /** For the log. */
  readonly onTrouble: (trouble: Trouble) => void;
  readonly onBreaker: (change: BreakerChange) => void;
  readonly onCredential: (change: CredentialChange) => void;
}

export class Pipeline implements RequestHandler, RelayOwner, WaitOwner, Moment {
  /** In force for requests that begin now. */
  snapshot: Snapshot;
  draining = false;
  tickMs = nowMs();
  readonly shedHead = SHED_HEAD;
  readonly shedBody = errorBody(ERRORS.overloaded, "");
  readonly #books: Books;
  readonly #transportOf: (provider: Provider) => Transport | undefined;
  readonly #troubles: Troubles;
  readonly #health: TargetHealth;
  readonly #inFlight = new Wheel<Exchange>(nowMs());
  readonly #tries: Tries;
  readonly #shadows: ShadowTraffic;
  readonly #turns: Turns;
  /** Null: nothing is limited. */
  readonly waits: WaitQueue | null;
  #bodyBytesInFlight = 0;

  constructor(parts: PipelineParts) {
    this.snapshot = parts.snapshot;
    this.#books = { ring: parts.ring, counters: parts.counters, histograms: parts.histograms, limiter: parts.limiter };
    this.#transportOf = parts.transportOf;
    this.#turns = new Turns(parts);
    this.#troubles = new Troubles(parts.onTrouble);
    this.#health = new TargetHealth(Math.random, parts.onBreaker);
    this.waits = parts.limiter === null ? null : waitQueueOf(this, parts.limiter, parts.counters);
    const { transportOf } = parts;
    const [books, health, wheel] = [this.#books, this.#health, this.#inFlight];
    const credentials = new CredentialHealth(parts.onCredential);
    this.#shadows = new ShadowTraffic({ transportOf, books, chance: Math.random });
    this.#tries = new Tries({ owner: this, transportOf, books, health, credentials, wheel });
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  get bodyBytesInFlight(): number {
    return this.#bodyBytesInFlight;
  }

  /** Answers from now on close their connections, also those to requests that are here already. */
  drain(): void {
    this.draining = true;
    this.#shadows.draining = true;
    for (const exchange of this.#inFlight.items()) exchange.closing = true;
  }

  refuses(startedMs: number): boolean {
    if (!this.#turns.refuses(startedMs)) return false;
    this.#books.counters.add(SHED, 1);
    return true;
  }

  onShed(count: number): void {
    this.#books.counters.add(SHED, count);
  }

  open(down: Downstream, startedMs: number): Exchange {
    const exchange = new Exchange(this.snapshot, down, startedMs, this.draining);
    // Phases begin at the time of a turn, the last one at the earliest.
    this.#inFlight.add(exchange, lookMs(exchange, this.tickMs));
    return exchange;
  }

  onHead(exchange: Exchange, verdict: Verdict): boolean {
    const error = verdict ?? classify(exchange) ?? authenticate(exchange) ?? this.#admit(exchange);
    exchange.authenticatedMs = nowMs();
    if (error !== null) {
      this.refuse(exchange, error);
      return false;
    }
    if (exchange.endpoint === ENDPOINT_MODELS) {
      this.#answerModels(exchange);
      return false;
    }
    return true;
  }

  #admit(exchange: Exchange): Verdict {
    if (exchange.snapshot.userHeader !== "") takeUser(exchange);
    const refusal = exchange.ownLines === "" ? null : this.#takeTimeout(exchange);
    if (refusal !== null) return refusal;
    if (this.#inFlight.size > EXCHANGES_IN_FLIGHT_MAX) return ERRORS.overloaded;
    return exchange.contentLength > 0 ? this.reserveBody(exchange, exchange.contentLength) : null;
  }

  #takeTimeout(exchange: Exchange): Verdict {
    const { totalMs } = exchange;
    const refusal = takeTimeout(exchange);
    // Its place in the wheel is that of a timeout, and may be later.
    if (exchange.totalMs < totalMs && this.#inFlight.remove(exchange))
      this.#inFlight.add(exchange, lookMs(exchange, this.tickMs));
    return refusal;
  }

  reserveBody(exchange: Exchange, bytes: number): Verdict {
    const { bodyBytes, bodyBytesInFlight } = exchange.snapshot.bounds;
    if (exchange.bodyReserved + bytes > bodyBytes) return exchange.fail(ERRORS.bodyTooLarge, String(bodyBytes));
    if (this.#bodyBytesInFlight + bytes > bodyBytesInFlight) return ERRORS.overloaded;
    exchange.bodyReserved += bytes;
    this.#bodyBytesInFlight += bytes;
    return null;
  }

  onRefused(exchange: Exchange, error: ErrorRow): void {
    this.refuse(exchange, error);
  }

  onBodyPart(exchange: Exchange): void {
    exchange.upload ??= Upload.of(exchange);
    const { upload } = exchange;
    if (upload === null) return;
    const error = readPart(exchange, upload) ?? this.#routeOnce(exchange);
    if (error !== null) this.refuse(exchange, error);
    else if (exchange.request !== null) release(exchange, upload.ready());
    else if (exchange.target !== null) this.#beginUpload(exchange, upload, exchange.target);
  }

  /** As soon as the model is known. */
  #routeOnce(exchange: Exchange): Verdict {
    return exchange.model === "" || exchange.route !== null ? null : routeEarly(exchange);
  }

  /** Where the transport cannot send what is not there, limits depend on it, or another try may need it, the rest is waited for. */
  #beginUpload(exchange: Exchange, upload: Upload, target: Target): void {
    if (this.#transportOf(target.provider)?.growing !== true || mayTryAgain(exchange)) return;
    if (this.#books.limiter?.wantsWhole(exchange) === true) return;
    const refusal = this.#limitOnce(exchange);
    if (refusal !== null) {
      this.refuse(exchange, refusal);
      return;
    }
    const { route } = exchange;
    if (route !== null && route.shadow !== null) this.#shadows.pass(route.shadow);
    exchange.bodyMs = nowMs();
    exchange.scannedMs = exchange.bodyMs;
    exchange.request = uploadRequest(exchange, target, upload);
    exchange.forwardedMs = nowMs();
    this.#tries.attempt(exchange, false);
  }

  onBody(exchange: Exchange): void {
    exchange.bodyMs = nowMs();
    const error = readBody(exchange);
    exchange.scannedMs = nowMs();
    const verdict = error ?? (exchange.target === null ? route(exchange) : null) ?? this.#limitOnce(exchange);
    if (verdict !== null) this.refuse(exchange, verdict);
    else if (exchange.waiting !== null) return;
    else if (exchange.request !== null) this.#completeUpload(exchange);
    else this.#forward(exchange);
  }

  #completeUpload(exchange: Exchange): void {
    const { upload, target } = exchange;
    assert(upload !== null && target !== null, "an upload that has begun has a target");
    const bytes = upload.complete(exchange, target);
    closeUpload(exchange);
    exchange.enter(exchange.attemptPhase, this.tickMs);
    exchange.forwardedMs = nowMs();
    release(exchange, bytes);
  }

  /** Before anything of it goes upstream. */
  #limitOnce(exchange: Exchange): Verdict {
    const { limiter } = this.#books;
    if (limiter === null || exchange.request !== null) return null;
    if (exchange.ownLines !== "") noteLimits(exchange, limiter);
    return exchange.snapshot.queue === null ? admitSomewhere(exchange, limiter) : (this.waits?.admit(exchange) ?? null);
  }

  onWait(exchange: Exchange, waitMs: number): void {
    closeUpload(exchange);
    exchange.pauseMs = waitMs;
    exchange.enter(PHASE_WAITING, nowMs());
    // Its place in the wheel is that of a timeout, and later.
    this.#inFlight.remove(exchange);
    this.#inFlight.add(exchange, exchange.progressMs + waitMs);
  }

  /** What is spliced into a body goes by the offsets of the one that was read last. */
  onAdmitted(exchange: Exchange): void {
    exchange.bodyMs = nowMs();
    const error = readBody(exchange);
    exchange.scannedMs = nowMs();
    if (error !== null) this.refuse(exchange, error);
    else this.#forward(exchange);
  }

  #forward(exchange: Exchange): void {
    const { target } = exchange;
    assert(target !== null, "a routed exchange has a target");
    closeUpload(exchange);
    if (mayTryAgain(exchange)) this.#tries.prepare(exchange);
    const { route } = exchange;
    if (route !== null && route.shadow !== null) this.#shadows.prepare(exchange, route.shadow);
    exchange.request = upstreamRequest(exchange, target);
    exchange.forwardedMs = nowMs();
    this.#tries.attempt(exchange, false);
  }

  replay(exchange: Exchange): void {
    this.#tries.replay(exchange);
  }

  fail(exchange: Exchange, error: ErrorRow): void {
    const { target, credential, failureCause, requestId } = exchange;
    if (this.#tries.fails(exchange, error))
      this.#troubles.note({ target, credential, failureCause, requestId }, error, this.tickMs);
    else this.refuse(exchange, error);
  }

  passesOver(exchange: Exchange, head: ResponseHead): boolean {
    return this.#tries.passesOver(exchange, head);
  }

  answers(exchange: Exchange): void {
    this.#tries.answers(exchange);
  }

  passesOverText(exchange: Exchange, failure: number): boolean {
    return this.#tries.passesOverText(exchange, failure);
  }

  passesOverEvents(exchange: Exchange, events: Buffer): boolean {
    return this.#tries.passesOverEvents(exchange, events);
  }

  releaseBody(exchange: Exchange): void {
    closeUpload(exchange);
    this.#bodyBytesInFlight -= exchange.bodyReserved;
    exchange.bodyReserved = 0;
    exchange.body = null;
    exchange.request = null;
  }

  settle(exchange: Exchange): void {
    this.#tries.dropHedge(exchange);
    const { route } = exchange;
    if (route !== null && route.arm !== null) noteEnd(exchange, route.arm);
    const held = exchange.limitTicket >= 0 || exchange.targetTicket >= 0;
    settle(exchange, this.#books);
    if (held || exchange.waiting !== null) this.waits?.onOver(exchange, held);
    leaveTarget(exchange);
    if (exchange.phase !== PHASE_OVER) exchange.enter(PHASE_FLUSHING, this.tickMs);
  }

  goesOn(exchange: Exchange, deltas: number, bytes: number): boolean {
    return this.#books.limiter?.extend(exchange, deltas, bytes) ?? true;
  }

  mirror(exchange: Exchange): void {
    this.#shadows.mirror(exchange);
  }

  onGap(exchange: Exchange, gapMs: number): void {
    recordGap(exchange, gapMs, this.#books.histograms);
  }

  #answerModels(exchange: Exchange): void {
    const body = modelsBody(exchange);
    if (typeof body !== "string") {
      this.refuse(exchange, body);
      return;
    }
    exchange.status = OK;
    exchange.responseBytes = Buffer.byteLength(body);
    this.settle(exchange);
    exchange.down.reply(ownHead(exchange, ""), body);
  }

  refuse(exchange: Exchange, error: ErrorRow): void {
    // Of an upload that turned out to be wrong.
    exchange.attempt?.cancel();
    exchange.attempt = null;
    exchange.error = error;
    this.#troubles.note(exchange, error, this.tickMs);
    exchange.status = error.status;
    if (exchange.detail === "" && exchange.target !== null) exchange.detail = exchange.target.provider.name;
    this.settle(exchange);
    if (error.status === 0) this.#cut(exchange);
    else answerError(exchange, error);
  }

  breakOff(exchange: Exchange, error: ErrorRow): void {
    // A head goes out with its first bytes: without them there is still another try, or an answer to give.
    if (exchange.responseBytes === 0 && !exchange.settled && exchange.answerLength !== 0) {
      this.fail(exchange, error);
      return;
    }
    this.#health.broke(exchange, error, wallMs(nowMs()));
    exchange.error = error;
    this.#troubles.note(exchange, error, this.tickMs);
    const provider = exchange.target === null ? "" : exchange.target.provider.name;
    const event = errorEvent(error, provider);
    this.settle(exchange);
    if (!exchange.eventStream || exchange.down.closed) {
      this.#cut(exchange);
      return;
    }
    // An event's beginning that is with the client already becomes an event of its own.
    const open = exchange.heldReleased || exchange.scan < 0;
    exchange.held = null;
    exchange.down.end(Buffer.from(open ? `\n\n${event}` : event));
  }

  #cut(exchange: Exchange): void {
    exchange.down.cut();
    this.#release(exchange);
  }

  onCaughtUp(exchange: Exchange): void {
    exchange.progressMs = nowMs();
    exchange.attempt?.resume();
  }

  onFlushed(exchange: Exchange): void {
    // The last bytes may have left while the upstream was paused: its connection is free only after its end.
    exchange.attempt?.resume();
    this.#release(exchange);
  }

  onAborted(exchange: Exchange): void {
    exchange.error ??= ERRORS.clientAborted;
    this.#end(exchange);
  }

  /** Ends an exchange whose client cannot be answered any more. */
  #end(exchange: Exchange): void {
    exchange.attempt?.cancel();
    exchange.attempt = null;
    if (exchange.status === 0) exchange.status = ERRORS.clientAborted.status;
    this.settle(exchange);
    this.#release(exchange);
  }

  #release(exchange: Exchange): void {
    if (!this.#inFlight.remove(exchange)) return;
    exchange.phase = PHASE_OVER;
    exchange.held = null;
    if (exchange.shadow !== null) this.#shadows.forget(exchange);
    this.releaseBody(exchange);
    releaseScan(exchange);
  }

  /** When to look at it next. */
  readonly #look = (exchange: Exchange): number => {
    this.#tries.look(exchange);
    const { startedMs, totalMs, progressMs, pauseMs } = exchange;
    const isOver = this.tickMs >= Math.min(progressMs + pauseMs, startedMs + totalMs);
    if (exchange.phase === PHASE_WAITING && isOver) {
      this.waits?.expire(exchange);
    } else {
      const error = overdue(exchange, this.tickMs);
      if (error !== null) this.#expire(exchange, error);
    }
    return Math.min(lookMs(exchange, this.tickMs), exchange.hedgeAtMs);
  };

  /** Ends what is overdue and publishes the gauges; called every SWEEP_INTERVAL_MS. */
  sweep(): void {
    this.tickMs = nowMs();
    this.waits?.sweep();
    this.#inFlight.turn(this.tickMs, this.#look);
    this.#shadows.sweep(this.tickMs);
    const { counters } = this.#books;
    counters.set(COUNTER.gaugeInFlight, this.#inFlight.size);
    counters.set(COUNTER.gaugeBodyBytesInFlight, this.#bodyBytesInFlight);
    counters.set(GAUGE_WAITING, this.waits?.size ?? 0);
    counters.set(GAUGE_SHEDDING, this.#turns.hasShed(this.tickMs) ? 1 : 0);
    counters.set(COUNTER.gaugeScannerSlots, scansOpen());
    counters.set(COUNTER.heartbeatMs, Date.now());
    this.#turns.measure(this.snapshot.shedDelayMs);
  }

  /** Ends everything: the drain's deadline has passed. */
  expireAll(): void {
    for (const exchange of this.#inFlight.items()) this.#expire(exchange, ERRORS.drainDeadline);
  }

  /** Nobody waits for shadow copies: a worker that ends ends them. */
  endShadows(): void {
    this.#shadows.endAll();
  }

  #expire(exchange: Exchange, error: ErrorRow): void {
    exchange.attempt?.cancel();
    exchange.attempt = null;
    if (exchange.settled || error === ERRORS.clientStalled) {
      exchange.error ??= error;
      this.settle(exchange);
      this.#cut(exchange);
    } else if (exchange.waiting !== null) {
      this.refuse(exchange, error);
    } else if (exchange.status === 0) {
      if (this.#tries.fails(exchange, error)) return;
      // A 408 ends the connection (RFC 9110 15.5.9).
      if (error === ERRORS.bodyTimeout) exchange.closing = true;
      this.refuse(exchange, error);
    } else {
      this.breakOff(exchange, error);
    }
  }
}

function waitQueueOf(owner: WaitOwner, limiter: Limiter, counters: CountersWriter): WaitQueue {
  const later = (run: () => void, delayMs: number) => {
    if (delayMs === 0) setImmediate(run);
    else setTimeout(run, delayMs);
  };
  return new WaitQueue({ owner, limiter, counters, nowMs, later });
}

/** More of an upload may go upstream; what has no connection yet, or needs another one, begins with it. */
function release(exchange: Exchange, bodyReady: number): void {
  if (exchange.request !== null) exchange.request.bodyReady = bodyReady;
  exchange.attempt?.release(bodyReady);
}

function closeUpload(exchange: Exchange): void {
  exchange.upload?.close();
  exchange.upload = null;
}
