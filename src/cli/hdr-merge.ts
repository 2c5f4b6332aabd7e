/**
 * `sluice hdr merge`: several logs as one. Counts are added up exactly. Intervals are kept as they are, one after another, unless
 * one per tag is asked for. The result takes its place only when it is whole.
 */
import { closeSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { Command } from "commander";
import { CodedError } from "../base/errors.ts";
import { HlogWriter, type Interval } from "../telemetry/hdr/hlog.ts";
import { readHlog } from "../telemetry/hdr/hlog-reader.ts";
import { logFiles, record, tagFilter } from "../telemetry/hdr/input.ts";
import { tagOption } from "./hdr-options.ts";
import { print, warn } from "./terminal.ts";

interface MergeOptions {
  readonly tag: readonly string[];
  readonly output: string;
  readonly sum?: true;
}

export function mergeCommand(): Command {
  return new Command("merge")
    .description("several logs as one, without loss: every interval is kept, in the order of the files")
    .argument("<file...>", "interval logs (.hlog) or directories of them")
    .requiredOption("-o, --output <file>", "log to write")
    .option("--sum", "one interval per tag, from its first beginning to its last end: counts stay exact, times do not")
    .addOption(tagOption())
    .action((files: string[], options: MergeOptions) => print(merge(files, options)));
}

function merge(paths: readonly string[], options: MergeOptions): string {
  const files = logFiles(paths);
  if (files.some((file) => resolve(file) === resolve(options.output)))
    throw new CodedError("hdr_unwritable", `${options.output} is one of the logs to merge; name another --output.`);
  const intervals = options.sum ? sums(files, options) : everyInterval(files, options);
  const count = replaceWith(options.output, intervals);
  const kind = options.sum ? "one for each tag" : "each as it was";
  return `${options.output}: ${count} intervals, ${kind}.`;
}

function* everyInterval(files: readonly string[], { tag }: MergeOptions): Generator<Interval> {
  const isAsked = tagFilter(tag);
  for (const file of files) {
    for (const interval of readHlog(file, warn)) if (isAsked(interval.tag)) yield interval;
  }
}

function* sums(files: readonly string[], options: MergeOptions): Generator<Interval> {
  for (const [tag, { sum, startMs, endMs }] of record(files, tagFilter(options.tag), warn).tracks)
    yield { tag, startMs, endMs, histogram: sum };
}

function replaceWith(path: string, intervals: Iterable<Interval>): number {
  const draft = `${path}.new`;
  const file = created(draft);
  try {
    const count = writeAll((text) => writeFileSync(file, text), intervals);
    if (count === 0)
      throw new CodedError("hdr_nothing", "There is nothing to write: no interval, or none with that tag.");
    renameSync(draft, path);
    return count;
  } finally {
    closeSync(file);
    rmSync(draft, { force: true });
  }
}

function writeAll(write: (text: string) => void, intervals: Iterable<Interval>): number {
  let writer: HlogWriter | null = null;
  let count = 0;
  for (const interval of intervals) {
    writer ??= new HlogWriter(write, interval.startMs, ["[Merged by sluice hdr merge]"]);
    writer.interval(interval);
    count += 1;
  }
  return count;
}

function created(path: string): number {
  try {
    return openSync(path, "w");
  } catch (cause) {
    throw new CodedError("hdr_unwritable", `${path} could not be written: ${String(cause)}`, cause);
  }
}
