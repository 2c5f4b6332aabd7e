/**
 * One interval of the latency histograms: what all workers counted since the last one, added up, a line of the log for
 * each histogram that has changed. Pool task. Each line is written off as soon as it is on disk, so a disk that refuses,
 * and a thread that dies, leave the rest for the next interval; a line is on disk twice only if a thread dies between
 * its last byte and the note of it.
 */

import type { Series } from "../../config/series.ts";
import { METRICS } from "../../shm/histogram-map.ts";
import type { HistogramsReader } from "../../shm/histogram-reader.ts";
import { histogramFromCounts } from "../hdr/histogram.ts";
import { hlogHead, hlogLine } from "../hdr/hlog.ts";
import { LogFiles } from "./files.ts";

export interface Interval {
  readonly folder: string;
  readonly diskBytes: number;
  /** By number. */
  readonly series: readonly Series[];
  /** Wall-clock milliseconds. */
  readonly startMs: number;
  readonly endMs: number;
}

const COMMENTS = ["Sluice: latencies in nanoseconds, tags are route/provider/model/metric"];

/** Lines written. Throws what the disk says; what was written then is written off, too. */
export function rotate(reader: HistogramsReader, interval: Interval): number {
  const { folder, diskBytes, series, startMs, endMs } = interval;
  const head = hlogHead(startMs, COMMENTS);
  const files = new LogFiles({ folder, diskBytes, startMs, head }, reader.place);
  let lines = 0;
  try {
    for (let histogram = 0; histogram < series.length * METRICS.length; histogram += 1) {
      const unwritten = reader.unwritten(histogram);
      if (unwritten === null) continue;
      const tag = tagOf(series, histogram);
      files.append(hlogLine({ tag, startMs, endMs, histogram: histogramFromCounts(unwritten.counts) }));
      reader.commit(unwritten);
      reader.setPlace(files.place);
      lines += 1;
    }
  } finally {
    reader.setPlace(files.place);
    files.close();
  }
  return lines;
}

/** `route/provider/model/metric`; a name's own slashes, and what would end a tag, are percent-encoded. */
export function tagOf(series: readonly Series[], histogram: number): string {
  const { route, provider, model } = series[Math.floor(histogram / METRICS.length)] ?? {
    route: "",
    provider: "",
    model: "",
  };
  const names = provider === "" ? [route] : [route, provider, model];
  return [...names.map(encodeName), METRICS[histogram % METRICS.length]].join("/");
}

/** Colons are frequent in model names, and end nothing. */
function encodeName(name: string): string {
  return encodeURIComponent(name).replaceAll("%3A", ":");
}
