/**
 * Time in shared words: ticks of 1/1024 of LATENCY_DECAY_MS, 9.8 ms, of the machine's monotonic clock, modulo 2^32 (485 days). Gateway worker;
 * pure. 0 stands for none, so a time that would be 0 is the next one.
 */
import { machineMs } from "../base/clock.ts";
import { LATENCY_DECAY_MS } from "../base/limits.ts";

export const TICKS_PER_DECAY = 1_024;
export const TICK_MS = LATENCY_DECAY_MS / TICKS_PER_DECAY;

/** Never 0. `wallMs`: of base/clock.ts. */
export function tickOf(wallMs: number): number {
  return tickAfter(0, machineMs(wallMs));
}

/** `ms` after a tick. Never 0. */
export function tickAfter(tick: number, ms: number): number {
  const after = (tick + Math.floor(ms / TICK_MS)) | 0;
  return after === 0 ? 1 : after;
}

/** From `from` to `to`: below 0 if that is earlier. */
export function ticksBetween(from: number, to: number): number {
  return (to - from) | 0;
}
