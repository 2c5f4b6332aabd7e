/** What a latency histogram is summed up by. Pure. Microseconds. */
import type { Histogram } from "../../src/telemetry/hdr/histogram.ts";

export const PERCENTILES = { p50Us: 50, p90Us: 90, p99Us: 99, p999Us: 99.9, maxUs: 100 } as const;
export type PercentileName = keyof typeof PERCENTILES;
export const PERCENTILE_NAMES = Object.keys(PERCENTILES) as PercentileName[];

export type Percentiles = Readonly<Record<PercentileName, number>>;

const NS_PER_US = 1_000;

export function percentilesOf(histogram: Histogram): Percentiles {
  return mapPercentiles((name) => histogram.getValueAtPercentile(PERCENTILES[name]) / NS_PER_US);
}

/** How much `one` is above `other`. */
export function added(one: Percentiles, other: Percentiles): Percentiles {
  return mapPercentiles((name) => one[name] - other[name]);
}

export function mapPercentiles(figure: (name: PercentileName) => number): Percentiles {
  return {
    p50Us: figure("p50Us"),
    p90Us: figure("p90Us"),
    p99Us: figure("p99Us"),
    p999Us: figure("p999Us"),
    maxUs: figure("maxUs"),
  };
}
