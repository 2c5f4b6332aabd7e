/**
 * Latency histograms off the request path: raw counts in the shape of base/hdr-geometry.ts as histograms of
 * hdr-histogram-js, which has the percentiles, mean and sums. Supervisor, command line, benchmarks. Values are nanoseconds.
 *
 * Counts are doubles, so nothing wraps below 2^53; the WebAssembly variants are not used: theirs have 32 bits or fewer here. Only the file
 * of this variant is loaded: the whole package, with a zlib of its own, holds 1 MB more of each thread.
 */
import float64 from "hdr-histogram-js/dist/Float64Histogram.js";
import { HDR_COUNTS, HDR_DIGITS, HDR_MAX_NS } from "../../base/hdr-geometry.ts";

export type Histogram = InstanceType<typeof float64.default>;

export function newHistogram(): Histogram {
  return histogramOf(1, HDR_MAX_NS, HDR_DIGITS);
}

/** An empty one, of values that it tells from each other and reaches to. */
export function histogramOf(lowest: number, highest: number, digits: number): Histogram {
  return new float64.default(lowest, highest, digits);
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
  return histogramOf(other.lowestDiscernibleValue, other.highestTrackableValue, other.numberOfSignificantValueDigits);
}
