/**
 * Latency histograms off the request path: raw counts in the shape of base/hdr-geometry.ts as histograms of
 * hdr-histogram-js, which has the percentiles, mean and sums. Supervisor, command line, benchmarks. Values are nanoseconds.
 *
 * Counts are doubles, so nothing wraps below 2^53; the WebAssembly variants are not used: theirs have 32 bits or fewer here.
 */
import { Float64Histogram } from "hdr-histogram-js";
import { HDR_COUNTS, HDR_DIGITS, HDR_MAX_NS } from "../../base/hdr-geometry.ts";

export type Histogram = Float64Histogram;

export function newHistogram(): Histogram {
  return new Float64Histogram(1, HDR_MAX_NS, HDR_DIGITS);
}

/** Of HDR_COUNTS counts, from `counts[from]` on. The largest value is known as well as its count's place says. */
export function histogramFromCounts(counts: ArrayLike<number>, from = 0): Histogram {
  const histogram = newHistogram();
  for (let index = 0; index < HDR_COUNTS; index++) {
    const count = counts[from + index] ?? 0;
    if (count !== 0) histogram.setCountAtIndex(index, count);
  }
  histogram.establishInternalTackingValues();
  return histogram;
}

/** Whether both cut their values in the same way; one may reach further than the other. */
export function sameResolution(one: Histogram, other: Histogram): boolean {
  return one.subBucketCount === other.subBucketCount && one.unitMagnitude === other.unitMagnitude;
}

/** Adds `other`, which has the same resolution, count by count: nothing is lost. */
export function addHistogram(sum: Histogram, other: Histogram): void {
  if (other.countsArrayLength > sum.countsArrayLength) sum.resize(other.highestTrackableValue);
  for (let index = 0; index < other.countsArrayLength; index++) {
    const count = other.getCountAtIndex(index);
    if (count !== 0) sum.addToCountAtIndex(index, count);
  }
  sum.setTotalCount(sum.totalCount + other.totalCount);
  sum.maxValue = Math.max(sum.maxValue, other.maxValue);
  sum.minNonZeroValue = Math.min(sum.minNonZeroValue, other.minNonZeroValue);
}

/** An empty histogram that has the resolution and the reach of `other`. */
export function emptyLike(other: Histogram): Histogram {
  return new Float64Histogram(
    other.lowestDiscernibleValue,
    other.highestTrackableValue,
    other.numberOfSignificantValueDigits,
  );
}
