/**
 * The circuit breaker of a target: closed, open, half-open. Gateway workers, all of them on one slot of shared memory
 * (shm/breakers.ts). Pure but for that: time and chance come from the caller; nothing is allocated.
 *
 *   closed     everything passes. Failures in a row, a share of failures in a window, or a provider's Retry-After open it.
 *   open       nothing passes until its time; then one try does, the probe, and it is half-open.
 *   half-open  nothing else passes until the probe is back, or late: its worker may be dead. What it brings closes or opens it.
 *
 * The gate is one word, state and time together, so that of all workers one has the probe. Times are those
 * of ticks.ts.
 */
import type { BreakerRules } from "../config/snapshot.ts";
import { BREAKER_AT } from "../shm/breakers.ts";
import { isDue, TICK_MS, tickOf, ticksUntil } from "../shm/ticks.ts";

const CLOSED = 0;
const OPEN = 1;
const HALF_OPEN = 2;
/** Open, and its time has come. */
const COOLED = 3;
const STATE_BITS = 2;
const STATE_MASK = 3;
const DOUBLINGS_MAX = 20;
const PERCENT = 100;

/** Answers of enterBreaker(). */
export const BLOCKED = 0;
export const PASSES = 1;
export const PROBES = 2;

function gateOf(state: number, tick: number): number {
  return (tick << STATE_BITS) | state;
}

/** Whether it lets everything through. */
export function isClosed(slot: Int32Array): boolean {
  return (Atomics.load(slot, BREAKER_AT.gate) & STATE_MASK) === CLOSED;
}

/** For how long a try would find it shut, milliseconds; below 0: a probe is under way; 0: it lets one through. Changes nothing. */
export function blockedMs(slot: Int32Array, wallMs: number): number {
  const gate = Atomics.load(slot, BREAKER_AT.gate);
  const state = gate & STATE_MASK;
  const now = tickOf(wallMs);
  if (state === CLOSED || state === COOLED || isDue(gate >>> STATE_BITS, now)) return 0;
  return state === HALF_OPEN ? -1 : ticksUntil(gate >>> STATE_BITS, now) * TICK_MS;
}

/** Whether it is, or would be, open because of failures: not because a provider asked for it. */
export function isFailing(slot: Int32Array, rules: BreakerRules): boolean {
  return Atomics.load(slot, BREAKER_AT.inARow) >= rules.failures || isPoor(slot, rules);
}

/** Before a try. PROBES: this one decides, and has to be told of by succeed(), fail() or forgo(). */
export function enterBreaker(slot: Int32Array, wallMs: number, { cooldownMs }: BreakerRules): number {
  const gate = Atomics.load(slot, BREAKER_AT.gate);
  if ((gate & STATE_MASK) === CLOSED) return PASSES;
  if ((gate & STATE_MASK) !== COOLED && !isDue(gate >>> STATE_BITS, tickOf(wallMs))) return BLOCKED;
  const next = gateOf(HALF_OPEN, tickOf(wallMs + cooldownMs));
  return Atomics.compareExchange(slot, BREAKER_AT.gate, gate, next) === gate ? PROBES : BLOCKED;
}

/** A try was answered. True: it closed the breaker. */
export function succeed(slot: Int32Array, wallMs: number, rules: BreakerRules, probe: boolean): boolean {
  count(slot, wallMs, rules, 1, 0);
  if (Atomics.load(slot, BREAKER_AT.inARow) !== 0) Atomics.store(slot, BREAKER_AT.inARow, 0);
  if (!probe) return false;
  const gate = Atomics.load(slot, BREAKER_AT.gate);
  if ((gate & STATE_MASK) !== HALF_OPEN) return false;
  begin(slot, tickOf(wallMs));
  Atomics.store(slot, BREAKER_AT.opensInARow, 0);
  return Atomics.compareExchange(slot, BREAKER_AT.gate, gate, CLOSED) === gate;
}

/**
 * A try failed; `retryAfterMs`: for how long the provider wants to be left alone, or 0; `tries`: 0 where it was counted before. True: it opened
 * the breaker.
 */
export function fail(
  slot: Int32Array,
  wallMs: number,
  rules: BreakerRules,
  probe: boolean,
  retryAfterMs: number,
  chance: number,
  tries = 1,
): boolean {
  count(slot, wallMs, rules, tries, 1);
  const inARow = Atomics.add(slot, BREAKER_AT.inARow, 1) + 1;
  const gate = Atomics.load(slot, BREAKER_AT.gate);
  const state = gate & STATE_MASK;
  const trips = state === CLOSED && (retryAfterMs > 0 || inARow >= rules.failures || isPoor(slot, rules));
  if (!trips && !(probe && state === HALF_OPEN)) return false;
  const openMs = retryAfterMs > 0 ? Math.min(retryAfterMs, rules.cooldownMaxMs) : cooldownMs(slot, rules, chance);
  const opened = Atomics.compareExchange(slot, BREAKER_AT.gate, gate, gateOf(OPEN, tickOf(wallMs + openMs))) === gate;
  if (!opened) return false;
  Atomics.add(slot, BREAKER_AT.opensInARow, 1);
  Atomics.add(slot, BREAKER_AT.opens, 1);
  return true;
}

/** The answer of a try that succeed() was told of broke off: it is a failure, and no second try. True: it opened the breaker. */
export function spoil(slot: Int32Array, wallMs: number, rules: BreakerRules, chance: number): boolean {
  return fail(slot, wallMs, rules, false, 0, chance, 0);
}

/** The probe ended without a verdict, as its client left: the next request is one. */
export function forgo(slot: Int32Array): void {
  const gate = Atomics.load(slot, BREAKER_AT.gate);
  if ((gate & STATE_MASK) !== HALF_OPEN) return;
  Atomics.compareExchange(slot, BREAKER_AT.gate, gate, COOLED);
}

/** Twice as long each time that a probe fails, and spread, so that machines that saw the same outage do not probe together. */
function cooldownMs(slot: Int32Array, rules: BreakerRules, chance: number): number {
  const doublings = Math.min(Atomics.load(slot, BREAKER_AT.opensInARow), DOUBLINGS_MAX);
  return Math.min(rules.cooldownMaxMs, rules.cooldownMs * 2 ** doublings) * (0.8 + 0.4 * chance);
}

function isPoor(slot: Int32Array, { requests, errorPercent }: BreakerRules): boolean {
  const tries = Atomics.load(slot, BREAKER_AT.windowTries);
  return tries >= requests && Atomics.load(slot, BREAKER_AT.windowFailures) * PERCENT >= tries * errorPercent;
}

function count(slot: Int32Array, wallMs: number, { windowMs }: BreakerRules, tries: number, failures: number): void {
  const now = tickOf(wallMs);
  const began = Atomics.load(slot, BREAKER_AT.windowAt);
  const ticks = ticksUntil(now, began);
  if (
    (ticks < 0 || ticks * TICK_MS >= windowMs) &&
    Atomics.compareExchange(slot, BREAKER_AT.windowAt, began, now) === began
  ) {
    begin(slot, now);
  }
  Atomics.add(slot, BREAKER_AT.windowTries, tries);
  Atomics.add(slot, BREAKER_AT.tries, tries);
  if (failures === 0) return;
  Atomics.add(slot, BREAKER_AT.windowFailures, 1);
  Atomics.add(slot, BREAKER_AT.failures, 1);
}

/** A window. */
function begin(slot: Int32Array, now: number): void {
  Atomics.store(slot, BREAKER_AT.windowAt, now);
  Atomics.store(slot, BREAKER_AT.windowTries, 0);
  Atomics.store(slot, BREAKER_AT.windowFailures, 0);
}
