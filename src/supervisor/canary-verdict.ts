/**
 * Whether a canary is worse than the stable side. Supervisor; pure. It is, when the difference is larger than the rules allow and larger than chance
 * brings: CHANCE_MAX is the probability that a canary which is as good looks so bad in one look at it. Looks follow each other every second and
 * share most of what they see, so the sum over a day is some thousand times that at most.
 *
 *   errors    points of a hundred more than the stable side's, and Fisher's exact test
 *   latency   of answers that began, so many are beyond the stable side's percentile times the factor that they cannot be of a side whose
 *             percentile is not; the stable side's percentile is taken at the upper end of what its requests leave open
 */
import type { RollbackRules } from "../config/snapshot.ts";
import { ARM_LATENCIES, armLatencyMs } from "../shm/arms.ts";
import { chanceOfHits, chanceOfShare } from "./chances.ts";

const HUNDRED = 100;
export const CHANCE_MAX = 1e-6;
/** Standard deviations that the rank of the stable side's percentile is raised by: the percentile is above that in one of 1,000. */
const RANK_DEVIATIONS = 3;

/** What was counted of one side in a window. */
export interface Side {
  readonly judged: number;
  readonly failed: number;
  /** Of those that did not fail, by armLatencyOf. */
  readonly latencies: ArrayLike<number>;
}

export interface CanaryVerdict {
  readonly reason: "errors" | "latency";
  /** Points of a hundred, or milliseconds. */
  readonly stable: number;
  readonly canary: number;
  /** Of the canary. */
  readonly requests: number;
}

/** Null: it may go on. */
export function judge(stable: Side, canary: Side, rules: RollbackRules): CanaryVerdict | null {
  if (canary.judged < rules.requests || stable.judged < rules.requests) return null;
  return byErrors(stable, canary, rules) ?? byLatency(stable, canary, rules);
}

function byErrors(stable: Side, canary: Side, { errorPercent }: RollbackRules): CanaryVerdict | null {
  const [ours, theirs] = [(canary.failed / canary.judged) * HUNDRED, (stable.failed / stable.judged) * HUNDRED];
  if (ours - theirs <= errorPercent) return null;
  const [all, failed] = [stable.judged + canary.judged, stable.failed + canary.failed];
  if (chanceOfShare(canary.judged, canary.failed, all, failed) > CHANCE_MAX) return null;
  return { reason: "errors", stable: theirs, canary: ours, requests: canary.judged };
}

function byLatency(stable: Side, canary: Side, { percentile, latencyPercent }: RollbackRules): CanaryVerdict | null {
  const [theirs, ours] = [sum(stable.latencies), sum(canary.latencies)];
  if (theirs === 0 || ours === 0) return null;
  const share = percentile / HUNDRED;
  const rank = Math.ceil(theirs * share + RANK_DEVIATIONS * Math.sqrt(theirs * share * (1 - share)));
  const stableMs = upperMs(stable.latencies, Math.min(rank, theirs));
  const beyond = countFrom(canary.latencies, (stableMs * latencyPercent) / HUNDRED);
  if (beyond <= ours * (1 - share) || chanceOfHits(ours, beyond, 1 - share) > CHANCE_MAX) return null;
  const canaryMs = upperMs(canary.latencies, Math.ceil(ours * share));
  return { reason: "latency", stable: stableMs, canary: canaryMs, requests: canary.judged };
}

function sum(counts: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < ARM_LATENCIES; i += 1) total += counts[i] ?? 0;
  return total;
}

/** Not below the `rank`th shortest. */
function upperMs(counts: ArrayLike<number>, rank: number): number {
  let passed = 0;
  for (let i = 0; i < ARM_LATENCIES; i += 1) {
    passed += counts[i] ?? 0;
    if (passed >= rank) return armLatencyMs(i + 1);
  }
  return armLatencyMs(ARM_LATENCIES);
}

/** Those that took at least `ms`, whatever they are within their step. */
function countFrom(counts: ArrayLike<number>, ms: number): number {
  let count = 0;
  for (let i = 0; i < ARM_LATENCIES; i += 1) if (armLatencyMs(i) >= ms) count += counts[i] ?? 0;
  return count;
}
