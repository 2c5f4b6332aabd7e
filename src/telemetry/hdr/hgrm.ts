/**
 * The percentile output of HdrHistogram (.hgrm): one line per step towards 100 %, as its plotting tools read it. Off the
 * request path; pure. It is a curve and no histogram: two of them cannot be added up.
 */
import type { Histogram } from "./histogram.ts";

export const NS_PER_MS = 1_000_000;
/** Steps per halving of the distance to 100 %, as all tools have it. */
const STEPS_PER_HALF = 5;

/** Values are divided by `unitNs`: in milliseconds, unless told otherwise. */
export function hgrmOf(histogram: Histogram, unitNs = NS_PER_MS): string {
  return histogram.outputPercentileDistribution(STEPS_PER_HALF, unitNs);
}
