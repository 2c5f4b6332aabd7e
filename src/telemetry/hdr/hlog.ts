/**
 * Writes HdrHistogram interval logs, format 1.3, as the Java HistogramLogWriter does: any HdrHistogram tool opens them. Off the
 * request path; whoever writes decides where the text goes.
 */
import { encodeHistogram } from "./encoding.ts";
import type { Histogram } from "./histogram.ts";

export interface Interval {
  /** What was measured; "" for none. */
  readonly tag: string;
  /** Unix time. */
  readonly startMs: number;
  readonly endMs: number;
  /** Of nanoseconds. */
  readonly histogram: Histogram;
}

const NS_PER_MS = 1_000_000;
const LEGEND = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"';
/** What would end a tag or its line. */
const TAG_ENDS = /[,\s\p{Cc}]/gu;

/** Comment lines, if any, then the head of a log. A log may have several. */
export function hlogHead(startMs: number, comments: readonly string[] = []): string {
  const lines = [
    ...comments.flatMap((comment) => comment.split(/\r?\n|\r/)).map((line) => `#${line}`),
    "#[Histogram log format version 1.3]",
    `#[StartTime: ${seconds(startMs)} (seconds since epoch), ${dateText(startMs)}]`,
    LEGEND,
  ];
  return `${lines.join("\n")}\n`;
}

/** One line. The largest value is in milliseconds, as the format has it; times are absolute. */
export function hlogLine({ tag, startMs, endMs, histogram }: Interval): string {
  const label = tag === "" ? "" : `Tag=${tag.replaceAll(TAG_ENDS, "_")},`;
  const times = `${seconds(startMs)},${seconds(endMs - startMs)}`;
  return `${label}${times},${(histogram.maxValue / NS_PER_MS).toFixed(3)},${encodeHistogram(histogram)}\n`;
}

export class HlogWriter {
  readonly #write: (text: string) => void;

  /** Writes the head; `write` gets whole lines. */
  constructor(write: (text: string) => void, startMs: number, comments: readonly string[] = []) {
    this.#write = write;
    write(hlogHead(startMs, comments));
  }

  interval(interval: Interval): void {
    this.#write(hlogLine(interval));
  }
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(3);
}

/** Like Java's Date: "Wed Sep 09 08:24:39 UTC 2015". */
function dateText(ms: number): string {
  const [day, date, month, year, time] = new Date(ms).toUTCString().replace(",", "").split(" ");
  return `${day} ${month} ${date} ${time} UTC ${year}`;
}
