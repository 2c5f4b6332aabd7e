/**
 * Pool task of the latency histograms: an interval for the disk, or a report for the admin port. Runs in the
 * drain's threads, one at a time; what has to be known from one time to the next is in the memory file, so any of them will do.
 */
import { requireSameProgram } from "../../base/program.ts";
import { HistogramsReader } from "../../shm/histogram-reader.ts";
import { type Report, report } from "./report.ts";
import { type Interval, rotate } from "./rotate.ts";

requireSameProgram();

export type LatencyTask =
  | { readonly kind: "rotate"; readonly descriptor: number; readonly interval: Interval }
  | { readonly kind: "report"; readonly descriptor: number; readonly report: Report };

/** Lines written, or the text that was asked for. */
export type LatencyResult = number | string | null;

let open: { readonly descriptor: number; readonly reader: HistogramsReader } | null = null;

export default function latencyTask(task: LatencyTask): LatencyResult {
  const { descriptor } = task;
  if (open?.descriptor !== descriptor) open = { descriptor, reader: new HistogramsReader(descriptor) };
  const reader = open.reader.look();
  return task.kind === "rotate" ? rotate(reader, task.interval) : report(reader, task.report);
}
