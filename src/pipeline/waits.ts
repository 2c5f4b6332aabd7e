/**
 * For how long attempts at a target were without an answer, lately: what a hedge's p95 is taken from. Gateway worker; pure, one typed array
 * per target and kind of answer. Counts in quarters of an octave, from 1 ms to 18 minutes, so a percentile is right within a fifth; when
 * there are COUNTED_MAX of them all are halved, so older ones fade.
 */
import { HEDGE_SAMPLES_MIN } from "../base/limits.ts";

const PARTS = 4;
const BUCKETS = 80;
/** Behind the buckets: their sum. */
const SUM = BUCKETS;
const COUNTED_MAX = 1_024;

export type Waits = Float64Array;

export function newWaits(): Waits {
  return new Float64Array(BUCKETS + 1);
}

export function noteWait(waits: Waits, ms: number): void {
  const bucket = Math.min(Math.floor(PARTS * Math.log2(Math.max(ms, 1))), BUCKETS - 1);
  waits[bucket] = (waits[bucket] ?? 0) + 1;
  waits[SUM] = (waits[SUM] ?? 0) + 1;
  if ((waits[SUM] ?? 0) >= COUNTED_MAX) fade(waits);
}

function fade(waits: Waits): void {
  let sum = 0;
  for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
    const half = Math.floor((waits[bucket] ?? 0) / 2);
    waits[bucket] = half;
    sum += half;
  }
  waits[SUM] = sum;
}

/** Of 100 waits `percent` are not longer, milliseconds; Infinity: too few are known. */
export function waitAt(waits: Waits, percent: number): number {
  const sum = waits[SUM] ?? 0;
  if (sum < HEDGE_SAMPLES_MIN) return Infinity;
  let above = (sum * (100 - percent)) / 100;
  for (let bucket = BUCKETS - 1; bucket >= 0; bucket -= 1) {
    above -= waits[bucket] ?? 0;
    if (above < 0) return 2 ** ((bucket + 1) / PARTS);
  }
  return 1;
}
