/** Latency of intervals, as the load generator reports it, as histograms. Pure. */
import { HDR_COUNTS } from "../../src/base/hdr-geometry.ts";
import { type Histogram, histogramFromCounts } from "../../src/telemetry/hdr/histogram.ts";
import type { Interval } from "./load.ts";

/** Of all of them together. */
export function histogramOf(intervals: readonly Interval[]): Histogram {
  const counts = new Float64Array(HDR_COUNTS);
  for (const interval of intervals) {
    for (const [index, count] of interval.counts) counts[index] = (counts[index] ?? 0) + count;
  }
  return histogramFromCounts(counts);
}
