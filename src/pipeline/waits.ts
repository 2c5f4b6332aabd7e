/**
 * For how long attempts at a target were without an answer, lately: what a hedge's p95 is taken from. Gateway workers, all of them on
 * shm/targets.ts. Pure but for that; allocates nothing.
 *
 * Counts in quarters of an octave, from 1 ms to 18 minutes, so a percentile is right within a fifth. They are looked at each time that
 * FADE_EVERY more were counted, and halved when there are COUNTED_MAX of them, so older ones fade. Counts are added to, and halved by
 * compareExchange: none is lost to another worker, and of one that dies while it halves the next one goes on.
 */
import { HEDGE_SAMPLES_MIN, WAIT_BUCKETS } from "../base/limits.ts";
import { WAITS_AT } from "../shm/targets.ts";

const PARTS = 4;
const COUNTED_MAX = 1_024;
const FADE_EVERY = COUNTED_MAX / 2;

/** `at`: of TARGET_AT. */
export function noteWait(slot: Int32Array, at: number, ms: number): void {
  const bucket = Math.min(Math.floor(PARTS * Math.log2(Math.max(ms, 1))), WAIT_BUCKETS - 1);
  Atomics.add(slot, at + WAITS_AT.buckets + bucket, 1);
  const noted = Atomics.add(slot, at + WAITS_AT.noted, 1) + 1;
  if (noted % FADE_EVERY === 0 && sumOf(slot, at) >= COUNTED_MAX) fade(slot, at);
}

function fade(slot: Int32Array, at: number): void {
  const first = at + WAITS_AT.buckets;
  for (let word = first; word < first + WAIT_BUCKETS; word += 1) halve(slot, word);
}

function halve(slot: Int32Array, word: number): void {
  for (;;) {
    const count = Atomics.load(slot, word);
    if (Atomics.compareExchange(slot, word, count, count >> 1) === count) return;
  }
}

function sumOf(slot: Int32Array, at: number): number {
  const first = at + WAITS_AT.buckets;
  let sum = 0;
  for (let word = first; word < first + WAIT_BUCKETS; word += 1) sum += slot[word] ?? 0;
  return sum;
}

/** Of 100 waits `percent` are not longer, milliseconds; Infinity: too few are known. */
export function waitAt(slot: Int32Array, at: number, percent: number): number {
  const sum = sumOf(slot, at);
  if (sum < HEDGE_SAMPLES_MIN) return Infinity;
  let above = (sum * (100 - percent)) / 100;
  for (let bucket = WAIT_BUCKETS - 1; bucket >= 0; bucket -= 1) {
    above -= slot[at + WAITS_AT.buckets + bucket] ?? 0;
    if (above < 0) return 2 ** ((bucket + 1) / PARTS);
  }
  return 1;
}
