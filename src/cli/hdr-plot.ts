/** `sluice hdr plot`: latency-by-percentile curves of one or more runs as one HTML page that needs nothing else. */
import { writeFileSync } from "node:fs";
import { basename, extname, resolve } from "node:path";
import { Command } from "commander";
import { CodedError } from "../base/errors.ts";
import { curvesOf, type TagFilter, tagFilter } from "../telemetry/hdr/input.ts";
import { type PlotSeries, plotPage } from "../telemetry/hdr/plot.ts";
import { nameOf, noTag, tagOption } from "./hdr-options.ts";
import { print, warn } from "./terminal.ts";

interface PlotOptions {
  readonly tag: readonly string[];
  readonly output: string;
  readonly title: string;
}

export function plotCommand(): Command {
  return new Command("plot")
    .description("latency by percentile as one HTML page; each file or directory is a run")
    .argument("<file...>", "interval logs (.hlog), directories of them, or percentile output (.hgrm)")
    .requiredOption("-o, --output <file>", "page to write")
    .option("--title <title>", "title of the page", "Latency by percentile")
    .addOption(tagOption())
    .action((files: string[], options: PlotOptions) => print(plot(files, options)));
}

function plot(files: readonly string[], { tag, output, title }: PlotOptions): string {
  const isAsked = tagFilter(tag);
  const names = labelsOf(files);
  const series = files.flatMap((file, i) => seriesOf(file, files.length > 1 ? (names[i] ?? file) : null, isAsked));
  if (series.length === 0) throw noTag(files, tag);
  write(output, plotPage({ title, series, notes: [files.join(", ")] }));
  return `${output}: ${series.length} curves.`;
}

/** The last part of each path, or all of it where that is not enough to tell them apart. */
function labelsOf(paths: readonly string[]): string[] {
  const short = paths.map((path) => basename(resolve(path), extname(path)));
  return new Set(short).size === short.length ? short : [...paths];
}

function seriesOf(file: string, run: string | null, isAsked: TagFilter): PlotSeries[] {
  return [...curvesOf(file, isAsked, warn)].map(([tag, histogram]) => ({ ...placeOf(tag, run), histogram }));
}

/**
 * Which curves share a chart: the contestants of a scenario (scenario/contestant/metric), in whichever run; otherwise the runs
 * of a tag; and of one run alone, tags that differ in their last part only.
 */
function placeOf(tag: string, run: string | null): { group: string; name: string } {
  const parts = tag.split("/");
  const [scenario, contestant, metric] = parts;
  if (parts.length === 3) {
    return { group: `${scenario} ${metric}`, name: run === null ? `${contestant}` : `${contestant} (${run})` };
  }
  if (run !== null) return { group: nameOf(tag), name: run };
  return { group: parts.slice(0, -1).join("/"), name: nameOf(parts.at(-1) ?? tag) };
}

function write(path: string, page: string): void {
  try {
    writeFileSync(path, page);
  } catch (cause) {
    throw new CodedError("hdr_unwritable", `${path} could not be written: ${String(cause)}`, cause);
  }
}
