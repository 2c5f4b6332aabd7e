/**
 * Times in words of shared memory: those of the wall clock, in ticks modulo 2^30 (198 days). Gateway workers, and the supervisor, which reads; pure. One that is further
 * away than any may be is of a clock that was set, and has passed.
 */
import { BREAKER_COOLDOWN_MS_MAX } from "../base/limits.ts";

export const TICK_MS = 16;
const TICKS = 2 ** 30;
const SPARE_BITS = 2;
/** Jitter adds a fifth at most. */
const TICKS_MAX = (BREAKER_COOLDOWN_MS_MAX * 1.2) / TICK_MS + 1;

export function tickOf(wallMs: number): number {
  return Math.floor(wallMs / TICK_MS) % TICKS;
}

/** Ticks from `now` until `tick`, which may have passed. */
export function ticksUntil(tick: number, now: number): number {
  return ((tick - now) << SPARE_BITS) >> SPARE_BITS;
}

export function isDue(tick: number, now: number): boolean {
  const ticks = ticksUntil(tick, now);
  return ticks <= 0 || ticks > TICKS_MAX;
}
