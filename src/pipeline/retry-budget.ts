/**
 * How many retries, or hedges, there may be: a share of the requests of the last ten seconds, and a few in any case. Gateway workers, all of
 * them on the same words (shm/routes.ts). Pure but for that; allocates nothing.
 *
 * Ten words of requests, then ten of what was taken, one for each second of the machine's clock: a stamp of which ten seconds they are, and a
 * count. A word with another stamp is empty. What is taken is decided and counted by one compareExchange, so workers do not take the same one; only those
 * whose clocks stand in two different seconds may, one each. What a dead worker took fades as the rest does.
 */
import { RETRY_BUDGET_SECONDS } from "../base/limits.ts";

const MS_PER_S = 1_000;
const COUNT_BITS = 20;
const COUNT_MAX = (1 << COUNT_BITS) - 1;
const STAMPS = 1 << (32 - COUNT_BITS);
/** First words. */
const REQUESTS = 0;
const TAKEN = RETRY_BUDGET_SECONDS;

/** A request begins. `machineMs`: of base/clock.ts. */
export function noteRequest(words: Int32Array, machineMs: number): void {
  const second = Math.floor(machineMs / MS_PER_S);
  const at = REQUESTS + (second % RETRY_BUDGET_SECONDS);
  for (;;) {
    const before = Atomics.load(words, at);
    if (Atomics.compareExchange(words, at, before, oneMore(before, second)) === before) return;
  }
}

/** Takes one; false: there is none left. */
export function takeOne(words: Int32Array, machineMs: number, percent: number, min: number): boolean {
  const second = Math.floor(machineMs / MS_PER_S);
  const at = TAKEN + (second % RETRY_BUDGET_SECONDS);
  for (;;) {
    const before = Atomics.load(words, at);
    const most = Math.max(min, (sum(words, REQUESTS, second) * percent) / 100);
    if (sum(words, TAKEN, second) >= most) return false;
    if (Atomics.compareExchange(words, at, before, oneMore(before, second)) === before) return true;
  }
}

function sum(words: Int32Array, first: number, second: number): number {
  let counted = 0;
  for (let back = 0; back < RETRY_BUDGET_SECONDS; back += 1)
    counted += countOf(words[first + ((second - back) % RETRY_BUDGET_SECONDS)] ?? 0, second - back);
  return counted;
}

function oneMore(word: number, second: number): number {
  const count = countOf(word, second);
  return stampOf(second) | Math.min(count + 1, COUNT_MAX);
}

function countOf(word: number, second: number): number {
  return (word & ~COUNT_MAX) === stampOf(second) ? word & COUNT_MAX : 0;
}

function stampOf(second: number): number {
  return (Math.floor(second / RETRY_BUDGET_SECONDS) % STAMPS) << COUNT_BITS;
}
