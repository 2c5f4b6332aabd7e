/**
 * The latency of a target by peak EWMA (as Finagle balances by it): the time to its first byte rises at once to a peak, and falls by
 * LATENCY_DECAY_MS. Gateway workers, all of them on shm/targets.ts. Pure but for that; allocates nothing.
 *
 * One word has it all: `peak` is the tick at which it will have fallen to a microsecond, that is now plus the logarithm of the latency. To
 * observe is to take the later one, so no order of workers and no death of one matters, and to look costs nothing.
 *
 * Silence is no news. From the first request after an answer (`asked`) until the next answer (`seen`), the latency is that of the last answer,
 * and no less than the wait so far. So one request finds out whether a target has become fast, or what an unknown one is, not all that come
 * before its answer; and a target that hangs becomes slower by the second. After LATENCY_TRIAL_MS without an answer another one may find out.
 */
import { LATENCY_FAILED_MS, LATENCY_MS_MAX, LATENCY_TRIAL_MS } from "../base/limits.ts";
import { LATENCY_AT } from "../shm/targets.ts";
import { TICK_MS, TICKS_PER_DECAY, ticksBetween } from "./machine-ticks.ts";

const US_PER_MS = 1_000;
const LEVEL_MAX = levelOf(LATENCY_MS_MAX);
const TRIAL_TICKS = LATENCY_TRIAL_MS / TICK_MS;

/** Ticks in which it falls to a microsecond. */
function levelOf(ms: number): number {
  return Math.round(Math.log(Math.max(1, ms * US_PER_MS)) * TICKS_PER_DECAY);
}

/** An answer began, or a try failed, after `ms`. `at`: of TARGET_AT. */
export function observe(slot: Int32Array, at: number, ms: number, now: number): void {
  const level = levelOf(Math.min(ms, LATENCY_MS_MAX));
  const next = (now + level) | 0;
  for (;;) {
    const before = Atomics.load(slot, at + LATENCY_AT.peak);
    const left = ticksBetween(now, before);
    // What is further away than it may be is of no time that we know.
    if (before !== 0 && left >= level && left <= LEVEL_MAX) break;
    if (Atomics.compareExchange(slot, at + LATENCY_AT.peak, before, next === 0 ? 1 : next) === before) break;
  }
  Atomics.store(slot, at + LATENCY_AT.seen, now);
  Atomics.store(slot, at + LATENCY_AT.asked, 0);
}

/** The same of a try that failed: it counts as slow, however fast it failed. */
export function observeFailure(slot: Int32Array, at: number, ms: number, now: number): void {
  observe(slot, at, Math.max(ms, LATENCY_FAILED_MS), now);
}

/** A try begins. */
export function ask(slot: Int32Array, at: number, now: number): void {
  const before = Atomics.load(slot, at + LATENCY_AT.asked);
  if (waitOf(before, now) < 0) Atomics.compareExchange(slot, at + LATENCY_AT.asked, before, now);
}

/** Ticks since somebody asked; below 0: nobody waits. */
function waitOf(asked: number, now: number): number {
  const wait = asked === 0 ? -1 : ticksBetween(asked, now);
  return wait <= TRIAL_TICKS ? wait : -1;
}

/** Milliseconds. 0: nothing is known, or nothing any more, and nobody is finding out. */
export function latencyMs(slot: Int32Array, at: number, now: number): number {
  const peak = Atomics.load(slot, at + LATENCY_AT.peak);
  const wait = waitOf(Atomics.load(slot, at + LATENCY_AT.asked), now);
  const level = ticksBetween(wait < 0 ? now : Atomics.load(slot, at + LATENCY_AT.seen), peak);
  const known = peak !== 0 && level > 0 && level <= LEVEL_MAX;
  if (wait < 0) return known ? msOf(level) : 0;
  return Math.max(known ? msOf(level) : LATENCY_FAILED_MS, wait * TICK_MS);
}

function msOf(level: number): number {
  return Math.exp(level / TICKS_PER_DECAY) / US_PER_MS;
}
