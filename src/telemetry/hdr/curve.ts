/**
 * What a latency-by-percentile curve is drawn and listed from: a histogram, or the percentile output of one (.hgrm), which is
 * such a curve and nothing else. Command line and benchmarks. Values are nanoseconds.
 */
import { CodedError } from "../../base/errors.ts";
import { NS_PER_MS } from "./hgrm.ts";
import { linesOf } from "./text-lines.ts";

/** A histogram is one. */
export interface Curve {
  readonly totalCount: number;
  readonly mean: number;
  readonly maxValue: number;
  getValueAtPercentile(percentile: number): number;
}

const POINT = /^\s*(\d+\.?\d*)\s+([01]\.\d+)\s+(\d+)(?:\s|$)/;
const MEAN = /^#\[Mean\s*=\s*(\d+\.?\d*)/;
const POINTS_MAX = 100_000;

/** The curve of a .hgrm file whose values are in units of `unitNs`. Throws CodedErrors: hdr_unreadable, hdr_not_percentiles. */
export function readHgrm(path: string, unitNs = NS_PER_MS): Curve {
  const points: Point[] = [];
  let mean = 0;
  for (const { text } of linesOf(path)) {
    const [, value, share, count] = POINT.exec(text) ?? [];
    if (value !== undefined) {
      points.push({ valueNs: Number(value) * unitNs, percentile: Number(share) * 100, count: Number(count) });
    }
    mean = Number(MEAN.exec(text)?.[1] ?? mean);
    if (points.length > POINTS_MAX) break;
  }
  const last = points.at(-1);
  if (last === undefined || points.length > POINTS_MAX)
    throw new CodedError("hdr_not_percentiles", `${path} is not percentile output of HdrHistogram (.hgrm).`);
  return {
    totalCount: last.count,
    mean: mean * unitNs,
    maxValue: last.valueNs,
    getValueAtPercentile: (percentile) =>
      (points.find((point) => point.percentile >= percentile - Number.EPSILON) ?? last).valueNs,
  };
}

interface Point {
  readonly valueNs: number;
  readonly percentile: number;
  readonly count: number;
}
