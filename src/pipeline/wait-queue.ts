/**
 * The queue of requests that a rate limit has no room for yet: each waits for the count that refused it until that admits it, its deadline
 * has come or its client is gone. One per gateway worker, main thread; there is none between workers. What waits holds its body, and no
 * quota, permit, connection, target or breaker's probe.
 *
 * A count is asked for the first of its line only, when its limit said that there is room, when something was given back to it here, and in
 * every sweep where others may have given back. So thousands that wait cost as much as one. Who arrives where others wait stands behind them. There is
 * one timer for all of it.
 */
import { assert } from "../base/assert.ts";
import { nowMs, wallMs } from "../base/clock.ts";
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import type { LimitRule } from "../base/limit-terms.ts";
import { WAIT_ADMISSIONS_PER_TURN, WAIT_TURN_MS_MAX, WAIT_TURN_MS_MIN } from "../base/limits.ts";
import { WAIT_DROPS, type WaitDrop } from "../base/wait-drops.ts";
import type { CountersWriter } from "../shm/counters.ts";
import { WAIT_DROPPED_0, WAITED_MS, WAITS } from "../shm/layout.ts";
import { admitSomewhere, attemptSomewhere } from "./admit.ts";
import type { Exchange, Verdict } from "./exchange.ts";
import type { Limiter, Refused } from "./limit.ts";
import { chooseAny, leaveTarget, refuseUnavailable } from "./route.ts";
import { Waiting, WaitLine } from "./wait-line.ts";
import { appliesTo, lineId, ruleId } from "./wait-line-id.ts";

const ASKED = /\r\nx-sluice-queue-ms: (\d{1,9})(?=\r\n|$)/;

/** What becomes of those that waited; pipeline.ts. */
export interface WaitOwner {
  /** It waits from now on, until `waitMs` have passed. */
  onWait(exchange: Exchange, waitMs: number): void;
  /** Its limits admitted it. */
  onAdmitted(exchange: Exchange): void;
  refuse(exchange: Exchange, error: ErrorRow): void;
}

export interface WaitParts {
  readonly limiter: Limiter;
  readonly counters: CountersWriter;
  readonly owner: WaitOwner;
  readonly nowMs: () => number;
  /** Calls back after so long, or as soon as what runs now is done (0). */
  readonly later: (run: () => void, delayMs: number) => void;
}

export class WaitQueue {
  readonly #limiter: Limiter;
  readonly #counters: CountersWriter;
  readonly #owner: WaitOwner;
  readonly #nowMs: () => number;
  readonly #later: WaitParts["later"];
  /** Where somebody waits, by their ids. */
  readonly #lines = new Map<string, WaitLine>();
  /** The limits of these, and how many lines each has. */
  readonly #rules = new Map<string, { readonly rule: LimitRule; lines: number }>();
  #size = 0;
  #bytes = 0;
  /** Of the lines that something came back to. */
  #due: WaitLine[] = [];
  /** When the timer will call; Infinity: it is not set. */
  #timerMs = Number.POSITIVE_INFINITY;

  constructor({ limiter, counters, owner, nowMs, later }: WaitParts) {
    this.#limiter = limiter;
    this.#counters = counters;
    this.#owner = owner;
    this.#nowMs = nowMs;
    this.#later = later;
  }

  get size(): number {
    return this.#size;
  }

  /** Of the bodies of those that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Those who wait for the count that this limit has for it; null: nobody does. */
  lineOf(exchange: Exchange, rule: LimitRule): WaitLine | null {
    return this.#lines.get(lineId(exchange, rule)) ?? null;
  }

  /** The step of the pipeline. Null: it is admitted, or waits, which `exchange.waiting` says. */
  admit(exchange: Exchange): Verdict {
    const line = this.#size === 0 ? null : this.lineFor(exchange);
    if (line !== null) return this.#wait(exchange, line, 0);
    const refused = attemptSomewhere(exchange, this.#limiter);
    if (refused === null) return null;
    const { rule, retryMs } = refused;
    if (rule === null) return admitSomewhere(exchange, this.#limiter);
    const id = lineId(exchange, rule);
    return this.#wait(exchange, this.#lines.get(id) ?? new WaitLine(id, rule), retryMs);
  }

  /** Where others wait for a count that would be asked for it, too. */
  lineFor(exchange: Exchange): WaitLine | null {
    for (const { rule } of this.#rules.values()) {
      const line = appliesTo(exchange, rule) ? this.lineOf(exchange, rule) : null;
      if (line !== null) return line;
    }
    return null;
  }

  #wait(exchange: Exchange, line: WaitLine, retryMs: number): Verdict {
    const waitMs = waitMsOf(exchange);
    const drop = reasonNotToWait(exchange, line.rule, retryMs, this);
    if (drop !== null) this.#count(drop);
    if (drop !== null || waitMs === 0) return this.#refusal(exchange, line, retryMs);
    leaveTarget(exchange);
    const nowMs = this.#nowMs();
    const waiting = new Waiting(exchange, nowMs, line);
    exchange.waiting = waiting;
    this.#size += 1;
    this.#bytes += waiting.bytes;
    if (line.isEmpty) this.#open(line, nowMs + pauseMs(line, retryMs));
    line.join(waiting);
    this.#owner.onWait(exchange, waitMs);
    // It goes before those that are there: what they are too large for may be enough for it.
    if (retryMs === 0 && line.next() === waiting) this.#comesBack(line);
    return null;
  }

  /** By the limit itself, or because others wait for it. */
  #refusal(exchange: Exchange, line: WaitLine, retryMs: number): Verdict {
    return retryMs > 0 ? admitSomewhere(exchange, this.#limiter) : this.#refuseBehind(exchange, line);
  }

  #refuseBehind(exchange: Exchange, { rule, nextMs }: WaitLine): ErrorRow {
    return this.#limiter.refuseBehind(exchange, rule, Math.max(1, nextMs - this.#nowMs()));
  }

  #open(line: WaitLine, nextMs: number): void {
    const id = ruleId(line.rule);
    const known = this.#rules.get(id);
    if (known === undefined) this.#rules.set(id, { rule: line.rule, lines: 1 });
    else known.lines += 1;
    this.#lines.set(line.id, line);
    line.nextMs = nextMs;
    this.#arm(nextMs);
  }

  #close({ id, rule }: WaitLine): void {
    this.#lines.delete(id);
    const known = this.#rules.get(ruleId(rule));
    if (known === undefined) return;
    known.lines -= 1;
    if (known.lines === 0) this.#rules.delete(ruleId(rule));
  }

  /** A request is over that held something, or it waited itself. */
  onOver(exchange: Exchange, held: boolean): void {
    if (exchange.waiting !== null) {
      this.#count(exchange.error === ERRORS.clientAborted ? "client_gone" : "ended");
      this.#remove(exchange.waiting, false);
    }
    if (this.#size === 0 || !held) return;
    for (const { rule } of this.#rules.values()) {
      if (rule.quantity === "requests" || !appliesTo(exchange, rule)) continue;
      const line = this.#lines.get(lineId(exchange, rule));
      if (line !== undefined) this.#comesBack(line);
    }
  }

  /** Not in this turn of the loop: whoever is over is in the middle of it. */
  #comesBack(line: WaitLine): void {
    if (line.isDue) return;
    line.isDue = true;
    if (this.#due.push(line) === 1) this.#later(this.#askDue, 0);
  }

  readonly #askDue = (): void => {
    const due = this.#due;
    this.#due = [];
    for (const line of due) {
      line.isDue = false;
      this.#ask(line);
    }
  };

  /** Every SWEEP_INTERVAL_MS: another worker may have given something back. */
  sweep(): void {
    if (this.#size === 0) return;
    const nowMs = this.#nowMs();
    for (const line of this.#lines.values()) if (line.rule.kind === "held" || line.nextMs <= nowMs) this.#ask(line);
  }

  #arm(atMs: number): void {
    if (atMs >= this.#timerMs) return;
    this.#timerMs = atMs;
    // Timers may be early by less than a millisecond.
    this.#later(this.#onTimer, Math.max(WAIT_TURN_MS_MIN, Math.ceil(atMs - this.#nowMs()) + 1));
  }

  readonly #onTimer = (): void => {
    const nowMs = this.#nowMs();
    // One that was set before a nearer one.
    if (nowMs < this.#timerMs) return;
    this.#timerMs = Number.POSITIVE_INFINITY;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const line of this.#lines.values()) {
      if (line.nextMs <= nowMs) this.#ask(line);
      if (!line.isEmpty) nextMs = Math.min(nextMs, line.nextMs);
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#arm(nextMs);
  };

  /** Lets go on as many of the line as there is room for. */
  #ask(line: WaitLine): void {
    for (let left = WAIT_ADMISSIONS_PER_TURN; left > 0; left -= 1) {
      const waiting = line.next();
      if (waiting === null || !this.#try(waiting, line)) return;
    }
    line.nextMs = this.#nowMs();
    this.#arm(line.nextMs);
  }

  /** False: it has to wait on, and all behind it. */
  #try(waiting: Waiting, line: WaitLine): boolean {
    const { exchange } = waiting;
    // Anew: what was chosen before may be left alone by now.
    const error = chooseAgain(exchange);
    const refused = error === null ? attemptSomewhere(exchange, this.#limiter) : null;
    if (refused === null || refused.rule === null) {
      this.#end(waiting, error ?? (refused === null ? null : admitSomewhere(exchange, this.#limiter)));
      return true;
    }
    leaveTarget(exchange);
    return this.#goesElsewhere(waiting, line, refused.rule, refused);
  }

  #goesElsewhere(waiting: Waiting, line: WaitLine, rule: WaitLine["rule"], { retryMs }: Refused): boolean {
    const id = lineId(waiting.exchange, rule);
    if (id === line.id) {
      line.nextMs = this.#nowMs() + pauseMs(line, retryMs);
      this.#arm(line.nextMs);
      return false;
    }
    this.#leave(waiting, true);
    const other = this.#lines.get(id) ?? new WaitLine(id, rule);
    if (other.isEmpty) this.#open(other, this.#nowMs() + pauseMs(other, retryMs));
    other.join(waiting);
    return true;
  }

  /** Its deadline has come: a last time, and this one counts. Where that is the end of all its time, there is none left to be answered in. */
  expire(exchange: Exchange): void {
    const { waiting, startedMs, totalMs } = exchange;
    assert(waiting !== null, "who has a deadline in the queue waits");
    const isOver = this.#nowMs() >= startedMs + totalMs;
    const verdict = isOver
      ? this.#refuseBehind(exchange, waiting.line)
      : (chooseAgain(exchange) ?? admitSomewhere(exchange, this.#limiter));
    if (verdict !== null) this.#count("deadline");
    this.#end(waiting, verdict);
  }

  #end(waiting: Waiting, verdict: Verdict): void {
    const { exchange } = waiting;
    this.#remove(waiting, true);
    if (verdict !== null) {
      this.#owner.refuse(exchange, verdict);
      return;
    }
    this.#counters.add(WAITS, 1);
    this.#counters.add(WAITED_MS, exchange.waitedMs);
    this.#owner.onAdmitted(exchange);
  }

  #remove(waiting: Waiting, hadTurn: boolean): void {
    const { exchange, sinceMs, line } = waiting;
    exchange.waitedMs = this.#nowMs() - sinceMs;
    exchange.waitedFor = line.rule.name;
    this.#counters.recordWait(exchange.waitedMs);
    this.#leave(waiting, hadTurn);
    exchange.waiting = null;
    this.#size -= 1;
    this.#bytes -= waiting.bytes;
  }

  #leave(waiting: Waiting, hadTurn: boolean): void {
    const { line } = waiting;
    line.leave(waiting, hadTurn);
    if (line.isEmpty) this.#close(line);
  }

  #count(drop: WaitDrop): void {
    this.#counters.add(WAIT_DROPPED_0 + WAIT_DROPS.indexOf(drop), 1);
  }
}

/** Of a queue. */
export interface Filling {
  readonly size: number;
  readonly bytes: number;
}

/** Why a request that may wait for a limit does not, though it would; null: it does, or may not. */
export function reasonNotToWait(
  exchange: Exchange,
  { quantity }: LimitRule,
  retryMs: number,
  { size, bytes }: Filling,
): WaitDrop | null {
  const { queue } = exchange.snapshot;
  const waitMs = waitMsOf(exchange);
  if (queue === null || waitMs === 0) return null;
  if (size >= queue.maxRequests || bytes + exchange.bodyBytes > queue.maxBytes) return "full";
  // Requests are never given back, so it is certain that there is no room before.
  return quantity === "requests" && retryMs > waitMs ? "deadline" : null;
}

/** As long as the configuration allows, or the client, or until its time is over anyway. */
export function waitMsOf({ ownLines, snapshot, bodyMs, startedMs, totalMs }: Exchange): number {
  const { queue } = snapshot;
  if (queue === null) return 0;
  const asked = ownLines === "" ? null : ASKED.exec(ownLines);
  const most = Math.min(queue.maxWaitMs, startedMs + totalMs - bodyMs);
  return Math.max(0, asked === null ? most : Math.min(most, Number(asked[1])));
}

/** The target, as if it came now. The route stays the one that it was. */
function chooseAgain(exchange: Exchange): Verdict {
  const { route } = exchange;
  if (route === null || route.choices.length === 0) return null;
  const atMs = wallMs(nowMs());
  return chooseAny(exchange, route, atMs, Math.random) ? null : refuseUnavailable(exchange, route, atMs);
}

/** Until its limit is asked again. What is held comes back at any time, which the sweep looks for. */
function pauseMs({ rule }: WaitLine, retryMs: number): number {
  if (rule.kind === "held") return WAIT_TURN_MS_MAX;
  return Math.min(Math.max(retryMs, WAIT_TURN_MS_MIN), WAIT_TURN_MS_MAX);
}
