/**
 * The latency histograms since the supervisor's start, as text for the admin port: all workers added up, at the moment of the
 * request. Pool task. Nanoseconds in JSON and in V2, milliseconds in .hgrm, as its tools expect.
 */
import { HDR_COUNTS } from "../../base/hdr-geometry.ts";
import { HDR_SERIES_MAX } from "../../base/limits.ts";
import type { Series } from "../../config/series.ts";
import { METRICS } from "../../shm/histogram-map.ts";
import type { HistogramsReader } from "../../shm/histogram-reader.ts";
import { encodeHistogram } from "../hdr/encoding.ts";
import { hgrmOf } from "../hdr/hgrm.ts";
import { type Histogram, histogramFromCounts } from "../hdr/histogram.ts";
import type { Selection } from "./selection.ts";

/** By the names that they have in the answer. */
const PERCENTILES = { p50: 50, p90: 90, p99: 99, "p99.9": 99.9, "p99.99": 99.99, "p99.999": 99.999 } as const;

export interface Report extends Selection {
  readonly series: readonly Series[];
  /** Routes that are counted under "~other". */
  readonly beyond: number;
  /** Wall-clock milliseconds. */
  readonly sinceMs: number;
}

/** null: none of them has a value, and the form is of one histogram. */
export function report(reader: HistogramsReader, asked: Report): string | null {
  if (asked.form === "json") return jsonOf(reader, asked);
  const counts = sumOf(reader, asked.histograms);
  if (counts === null) return null;
  const histogram = histogramFromCounts(counts);
  return asked.form === "hgrm" ? hgrmOf(histogram) : encodeHistogram(histogram);
}

function jsonOf(reader: HistogramsReader, { histograms, series, beyond, sinceMs }: Report): string {
  const found = histograms.flatMap((histogram) => {
    const counts = reader.total(histogram);
    const row = series[Math.floor(histogram / METRICS.length)];
    const metric = METRICS[histogram % METRICS.length];
    return counts === null || row === undefined ? [] : [{ ...namesOf(row), metric, ...figuresOf(counts) }];
  });
  const bound = { used: series.length, max: HDR_SERIES_MAX, routes_under_other: beyond };
  return JSON.stringify({ since: new Date(sinceMs).toISOString(), series: bound, histograms: found });
}

function namesOf({ route, provider, model }: Series) {
  return { route, target: provider === "" ? null : { provider, model } };
}

function figuresOf(counts: Float64Array) {
  const histogram = histogramFromCounts(counts);
  return {
    unit: "ns",
    count: histogram.totalCount,
    min: histogram.minNonZeroValue,
    mean: Math.round(histogram.mean),
    percentiles: percentilesOf(histogram),
    max: histogram.maxValue,
    v2: encodeHistogram(histogram),
  };
}

function percentilesOf(histogram: Histogram): Record<string, number> {
  const entries = Object.entries(PERCENTILES);
  return Object.fromEntries(entries.map(([name, percent]) => [name, histogram.getValueAtPercentile(percent)]));
}

function sumOf(reader: HistogramsReader, histograms: readonly number[]): Float64Array | null {
  let sum: Float64Array | null = null;
  for (const histogram of histograms) {
    const counts = reader.total(histogram);
    if (counts === null) continue;
    if (sum === null) sum = counts;
    else for (let i = 0; i < HDR_COUNTS; i += 1) sum[i] = (sum[i] ?? 0) + (counts[i] ?? 0);
  }
  return sum;
}
