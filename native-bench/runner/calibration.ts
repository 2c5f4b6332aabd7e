/**
 * How disturbed the machine is: a fixed piece of work, timed again and again during a run. On a quiet machine it always takes
 * the same time; what it takes more is what others took from everything else that was measured as well.
 */
const ROUNDS = 160_000_000;
/** Before the clock starts: the loop is compiled then. */
const WARM_UP_ROUNDS = 5_000_000;
/** Beyond this spread absolute figures of the run say little. */
const QUIET_SPREAD_MAX = 0.1;

export interface Noise {
  /** What each calibration took. */
  readonly samplesMs: number[];
  /** (slowest - fastest) / fastest. */
  readonly spread: number;
  readonly isNoisy: boolean;
}

/** Does the work, in about a quarter of a second, and returns what it took. */
export function calibrate(): number {
  const warm = mix(WARM_UP_ROUNDS);
  const begin = performance.now();
  const hash = mix(ROUNDS);
  const tookMs = performance.now() - begin;
  if (hash === warm) throw new Error("the calibration loop was optimized away");
  return tookMs;
}

/** Multiply and xor-shift: nothing but the CPU's core takes part. */
function mix(rounds: number): number {
  let hash = 0x811c9dc5;
  for (let round = 0; round < rounds; round += 1) {
    hash = Math.imul(hash ^ round, 0x01000193);
    hash ^= hash >>> 15;
  }
  return hash >>> 0;
}

export function noiseOf(samplesMs: number[]): Noise {
  const fastest = Math.min(...samplesMs);
  const spread = (Math.max(...samplesMs) - fastest) / fastest;
  return { samplesMs, spread, isNoisy: spread > QUIET_SPREAD_MAX };
}
