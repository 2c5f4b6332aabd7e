/** Histograms off the request path: the shape of the counts, and sums that lose nothing. */
import { equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { HDR_COUNTS, HDR_MAX_NS, hdrIndexOf } from "../../src/base/hdr-geometry.ts";
import { addHistogram, emptyLike, histogramFromCounts, newHistogram } from "../../src/telemetry/hdr/histogram.ts";
import { Random } from "../fuzz/random.ts";

test("the place of a value is the one that hdr-histogram-js gives it", () => {
  const histogram = newHistogram();
  equal(histogram.countsArrayLength, HDR_COUNTS);
  const random = new Random(1);
  for (let i = 0; i < 200_000; i++) {
    const value = Math.floor(2 ** (random.unit() * Math.log2(HDR_MAX_NS)));
    equal(hdrIndexOf(value), histogram.countsArrayIndex(value), `${value}`);
  }
  for (let bit = 0; bit < 41; bit++)
    for (const value of [2 ** bit - 1, 2 ** bit, 2 ** bit + 1])
      equal(hdrIndexOf(value), histogram.countsArrayIndex(value), `${value}`);
  equal(hdrIndexOf(HDR_MAX_NS), histogram.countsArrayIndex(HDR_MAX_NS));
});

test("raw counts make the histogram that recording the values makes", () => {
  const random = new Random(2);
  const recorded = newHistogram();
  const counts = new Float64Array(3 + HDR_COUNTS);
  for (let i = 0; i < 10_000; i++) {
    const value = Math.floor(Math.exp(random.unit() * 25));
    recorded.recordValue(value);
    counts[3 + hdrIndexOf(value)] = (counts[3 + hdrIndexOf(value)] ?? 0) + 1;
  }
  const histogram = histogramFromCounts(counts, 3);
  equal(histogram.totalCount, 10_000);
  equal(histogram.mean, recorded.mean);
  equal(histogram.maxValue, recorded.highestEquivalentValue(recorded.maxValue));
  for (const percentile of [0, 1, 50, 99, 99.99, 100])
    equal(histogram.getValueAtPercentile(percentile), recorded.getValueAtPercentile(percentile));
});

test("counts beyond 32 bits do not wrap", () => {
  const sum = newHistogram();
  const part = newHistogram();
  part.recordValueWithCount(5_000, 2 ** 40);
  for (let i = 0; i < 100; i++) addHistogram(sum, part);
  equal(sum.totalCount, 100 * 2 ** 40);
  equal(sum.getCountAtIndex(hdrIndexOf(5_000)), 100 * 2 ** 40);
});

test("a sum grows to the reach of what is added, and loses nothing", () => {
  const long = newHistogram();
  long.recordValue(3_000_000_000_000);
  const short = emptyLike(long);
  const sum = histogramFromCounts(new Float64Array(HDR_COUNTS));
  short.recordValue(7);
  addHistogram(sum, short);
  addHistogram(sum, long);
  equal(sum.totalCount, 2);
  equal(sum.minNonZeroValue, 7);
  ok(sum.maxValue >= 3_000_000_000_000);
  equal(sum.getValueAtPercentile(50), 7);
});
