/**
 * Hedging: a second attempt, at the next target, beside one that is slow. Gateway worker, main thread; one Hedges per pipeline. The first
 * that brings an answer is taken: the head of a good one, the first event of a stream. What must hold: the exchange has its own attempt and
 * at most one hedge; whatever ends the exchange ends both; what each of them used is booked once. The clock is the wheel, so a hedge
 * goes out up to SWEEP_INTERVAL_MS late.
 */
import { assert } from "../base/assert.ts";
import { machineMs, nowMs, wallMs } from "../base/clock.ts";
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import { HEDGE_BODY_BYTES_MAX } from "../base/limits.ts";
import type { Choice, HedgeRules, Route, Target } from "../config/snapshot.ts";
import { HEDGES, HEDGES_WON } from "../shm/layout.ts";
import { TARGET_AT } from "../shm/targets.ts";
import { KIND_HEDGE, KIND_TRY } from "../telemetry/record.ts";
import type { ResponseHead } from "../upstream/transport.ts";
import { book } from "./booking.ts";
import { notePassedOver } from "./canary.ts";
import { waitForCredentialMs } from "./credential-health.ts";
import { lookMs } from "./deadlines.ts";
import { noteTry, SLOWER } from "./decision.ts";
import { NO_SCAN, type Outcome } from "./entry.ts";
import type { Exchange } from "./exchange.ts";
import { failureOf, failureOfStatus, retryAfterMs } from "./failure.ts";
import { upstreamRequest } from "./forward.ts";
import { noteHead } from "./lessons.ts";
import { type Race, Racer } from "./racer.ts";
import { readBody } from "./read-body.ts";
import { Relay } from "./relay.ts";
import { triesOf } from "./retries.ts";
import { noteRequest, takeOne } from "./retry-budget.ts";
import { chooseTarget, enterTarget, leaveTarget } from "./route.ts";
import { Side, swapSides } from "./side.ts";
import { unsplice } from "./splice.ts";
import type { TriesParts } from "./tries.ts";
import { noteWait, waitAt } from "./waits.ts";

/** Of 100 attempts so many are faster. */
const PERCENTILE = 95;
/** Hedges of a route that there may be in any case, in the seconds of a budget. */
const MIN = 1;

/** One that runs. */
export interface Hedge {
  readonly side: Side;
  readonly racer: Racer;
}

export interface HedgesParts extends TriesParts {
  readonly chance: () => number;
}

export class Hedges implements Race {
  readonly #parts: HedgesParts;

  constructor(parts: HedgesParts) {
    this.#parts = parts;
  }

  get tickMs(): number {
    return this.#parts.owner.tickMs;
  }

  /** A request begins whose route hedges. */
  request({ budget }: Route): void {
    noteRequest(budget, machineMs(wallMs(this.tickMs)));
  }

  /** Its attempt begins: how it tells, and when a second one is due. */
  racerOf(exchange: Exchange, { afterMs }: HedgeRules): Racer {
    const { owner, wheel } = this.#parts;
    exchange.attemptMs = nowMs();
    if (exchange.hedge === null && exchange.choice !== null) {
      const waitMs = afterMs ?? waitAt(exchange.choice.state.learned, waitsAt(exchange), PERCENTILE);
      exchange.hedgeAtMs = exchange.attemptMs + waitMs;
      // Its place in the wheel is that of a timeout, and mostly later.
      const dueMs = Math.min(exchange.hedgeAtMs, lookMs(exchange, exchange.attemptMs));
      if (waitMs !== Infinity && wheel.remove(exchange)) wheel.add(exchange, dueMs);
    }
    return new Racer(exchange, new Relay(exchange, owner), this);
  }

  /** Called when it is looked at: a hedge may be due. */
  look(exchange: Exchange): void {
    if (exchange.hedgeAtMs > this.tickMs) return;
    exchange.hedgeAtMs = Infinity;
    const { route } = exchange;
    if (route?.hedge != null && exchange.status === 0 && exchange.attempt !== null && exchange.hedge === null)
      this.#begin(exchange, route, route.hedge);
  }

  #begin(exchange: Exchange, route: Route, rules: HedgeRules): void {
    if (exchange.snapshot.hedges.count >= rules.inFlightMax || exchange.bodyBytes > HEDGE_BODY_BYTES_MAX) return;
    // One that came to its fallbacks has no other targets left.
    if (triesOf(exchange) >= route.attempts || exchange.chain.length > 0) return;
    const side = this.#prepare(exchange, route);
    if (side === null) return;
    const transport = side.target === null ? undefined : this.#parts.transportOf(side.target.provider);
    if (transport === undefined || side.request === null || !this.#enter(exchange, route, rules)) {
      leave(exchange, side);
      return;
    }
    const racer = new Racer(exchange, new Relay(exchange, this.#parts.owner), this);
    racer.aside = side;
    exchange.hedge = { side, racer };
    exchange.attempts += 1;
    this.#parts.books.counters.add(HEDGES, 1);
    const attempt = transport.send(side.request, racer, false);
    // A failure may have been told before send returned.
    if (exchange.hedge?.racer === racer) side.attempt = attempt;
  }

  /** Whether there may be one more; then it is counted. */
  #enter({ snapshot: { hedges } }: Exchange, { budget }: Route, { percentMax, inFlightMax }: HedgeRules): boolean {
    if (!hedges.enterWithin(inFlightMax)) return false;
    if (takeOne(budget, machineMs(wallMs(this.tickMs)), percentMax, MIN)) return true;
    hedges.leave();
    return false;
  }

  /** A side at another target, with a request of its own; null: there is none. */
  #prepare(exchange: Exchange, route: Route): Side | null {
    const { choice, tried } = exchange;
    if (choice === null) return null;
    const side = new Side(exchange);
    swapSides(exchange, side);
    const isChosen = chooseTarget(exchange, route, tried | (1 << choice.place), wallMs(nowMs()), this.#parts.chance);
    if (isChosen) this.#fill(exchange);
    swapSides(exchange, side);
    return isChosen ? side : null;
  }

  /** The client's body once more, with what this target needs in it. */
  #fill(exchange: Exchange): void {
    const { choice, target } = exchange;
    assert(choice !== null && target !== null, "a target was chosen");
    // Neither of the two is tried again before all others were.
    exchange.tried |= 1 << choice.place;
    unsplice(exchange);
    const error = readBody(exchange);
    assert(error === null, "a body that could be read once can be read again");
    exchange.splices = [];
    exchange.request = upstreamRequest(exchange, target);
    exchange.attemptMs = nowMs();
    exchange.progressMs = this.tickMs;
    enterTarget(exchange);
  }

  wins(exchange: Exchange, racer: Racer): void {
    exchange.hedgeAtMs = Infinity;
    const { aside } = racer;
    if (aside !== null) this.#takeOver(exchange, aside, racer);
    const loser = aside ?? this.#part(exchange);
    if (loser !== null) {
      // Of the one that is given up it is known that it takes at least as long.
      this.#note(exchange, loser.choice, loser.attemptMs);
      this.#giveUp(exchange, loser);
      if (loser.target !== null) noteTry(exchange, loser.target, SLOWER, loser.credential);
    }
    this.#note(exchange, exchange.choice, exchange.attemptMs);
  }

  #note(exchange: Exchange, choice: Choice | null, sinceMs: number): void {
    if (choice !== null) noteWait(choice.state.learned, waitsAt(exchange), nowMs() - sinceMs);
  }

  /** The hedge is the exchange's attempt from now on; its side has what was that. */
  #takeOver(exchange: Exchange, side: Side, racer: Racer): void {
    this.#part(exchange);
    racer.aside = null;
    swapSides(exchange, side);
    this.#parts.books.counters.add(HEDGES_WON, 1);
  }

  /** There are no longer two; the hedge's side, if there were. */
  #part(exchange: Exchange): Side | null {
    const { hedge } = exchange;
    if (hedge === null) return null;
    exchange.hedge = null;
    exchange.snapshot.hedges.leave();
    return hedge.side;
  }

  /** Whatever ends an exchange ends its hedge; before it is settled. */
  drop(exchange: Exchange): void {
    const side = this.#part(exchange);
    if (side !== null) this.#giveUp(exchange, side);
  }

  /** It is not wanted any more; its provider may bill it all the same. */
  #giveUp(exchange: Exchange, side: Side): void {
    side.attempt?.cancel();
    const { target, sent, upstreamStatus, credential } = side;
    const outcome = { sent, upstreamStatus, error: null, scan: NO_SCAN, seen: 0, credential };
    if (target !== null) book(exchange, KIND_HEDGE, target, outcome, this.#parts.books);
    leave(exchange, side);
  }

  /** The exchange's own attempt failed, for the record in this way: the hedge takes its place. False: there is none. */
  adopt(exchange: Exchange, failure: number, error: ErrorRow | null): boolean {
    const { hedge, target, sent, upstreamStatus, credential } = exchange;
    if (hedge === null) return false;
    if (exchange.route?.arm?.judged === true) notePassedOver(exchange);
    exchange.attempt?.cancel();
    exchange.hedgeAtMs = Infinity;
    const outcome = { sent, upstreamStatus, error, scan: NO_SCAN, seen: 0, credential };
    if (target !== null) this.#failed(exchange, target, failure, outcome);
    leaveTarget(exchange);
    exchange.gate?.leave(exchange);
    this.#takeOver(exchange, hedge.side, hedge.racer);
    hedge.racer.letGo();
    return true;
  }

  hedgeFails(exchange: Exchange, head: ResponseHead | null, error: ErrorRow | null): void {
    const side = this.#part(exchange);
    if (side === null) return;
    side.attempt?.cancel();
    swapSides(exchange, side);
    // An answer may have another one's turn come.
    const { credential } = exchange;
    if (head !== null) this.#answered(exchange, head);
    else if (error !== null) this.#parts.health.error(exchange, error, wallMs(nowMs()));
    const { target, sent, upstreamStatus } = exchange;
    const outcome = { sent, upstreamStatus, error, scan: NO_SCAN, seen: 0, credential };
    const failure = error === null ? failureOfStatus(upstreamStatus) : failureOf(error);
    if (target !== null) this.#failed(exchange, target, failure, outcome);
    leaveTarget(exchange);
    exchange.gate?.leave(exchange);
    swapSides(exchange, side);
  }

  #failed(exchange: Exchange, target: Target, failure: number, outcome: Outcome): void {
    noteTry(exchange, target, failure, outcome.credential);
    book(exchange, KIND_TRY, target, outcome, this.#parts.books);
  }

  /** With a failure. */
  #answered(exchange: Exchange, head: ResponseHead): void {
    const { health, credentials } = this.#parts;
    const { status } = head;
    const atMs = wallMs(nowMs());
    const waitMs = retryAfterMs(head.lines, atMs);
    noteHead(exchange, head, waitMs, atMs);
    exchange.upstreamStatus = status;
    credentials.answer(exchange, status, waitMs, atMs);
    health.answer(exchange, failureOfStatus(status), waitForCredentialMs(exchange, waitMs, atMs), atMs);
  }

  breaks(exchange: Exchange, error: ErrorRow | null): void {
    this.#parts.health.error(exchange, error ?? ERRORS.upstreamCut, wallMs(nowMs()));
    this.adopt(exchange, failureOf(ERRORS.upstreamReset), error);
  }
}

/** Whole answers begin when all of them is made: they are not compared with streams. */
function waitsAt({ stream }: Exchange): number {
  return stream ? TARGET_AT.streamWaits : TARGET_AT.waits;
}

function leave(exchange: Exchange, side: Side): void {
  swapSides(exchange, side);
  leaveTarget(exchange);
  exchange.gate?.leave(exchange);
  swapSides(exchange, side);
}
