/** `sluice hdr show`: count, mean and percentiles by tag, as a table, as JSON or as percentile output of HdrHistogram. */
import { Command, InvalidArgumentError, Option } from "commander";
import { CodedError } from "../base/errors.ts";
import type { Curve } from "../telemetry/hdr/curve.ts";
import { hgrmOf } from "../telemetry/hdr/hgrm.ts";
import { curvesOf, isPercentiles, record, tagFilter } from "../telemetry/hdr/input.ts";
import { columns, nameOf, noTag, tagOption, UNITS_NS, type Unit, unitOption, valueText } from "./hdr-options.ts";
import { print, warn } from "./terminal.ts";

const PERCENTILES: readonly number[] = [50, 90, 99, 99.9, 99.99];

interface ShowOptions {
  readonly tag: readonly string[];
  readonly percentiles: readonly number[];
  readonly unit: Unit;
  readonly json?: true;
  readonly hgrm?: true;
}

export function showCommand(): Command {
  return new Command("show")
    .description("count, mean and percentiles by tag; logs of several files are added up")
    .argument("<file...>", "interval logs (.hlog), directories of them, or percentile output (.hgrm)")
    .addOption(tagOption())
    .option("--percentiles <list>", "percentiles, such as 50,99.9", parsePercentiles, PERCENTILES)
    .addOption(unitOption())
    .addOption(new Option("--json", "as JSON").conflicts("hgrm"))
    .option("--hgrm", "as percentile output of HdrHistogram, of one tag")
    .action((files: string[], options: ShowOptions) => print(show(files, options)));
}

function parsePercentiles(list: string): readonly number[] {
  const percentiles = list.split(",").map((text) => (text.trim() === "" ? Number.NaN : Number(text)));
  if (percentiles.every((percentile) => percentile >= 0 && percentile <= 100)) return percentiles;
  throw new InvalidArgumentError("It is a list of numbers from 0 to 100.");
}

function show(files: readonly string[], options: ShowOptions): string {
  if (options.hgrm) return hgrm(files, options);
  const curves = allCurves(files, options.tag);
  if (curves.length === 0) throw noTag(files, options.tag);
  return options.json ? json(curves, options) : table(curves, options);
}

function allCurves(files: readonly string[], patterns: readonly string[]): [string, Curve][] {
  const isAsked = tagFilter(patterns);
  const logs = files.filter((file) => !isPercentiles(file));
  const recorded = [...record(logs, isAsked, warn).tracks].map(([tag, { sum }]): [string, Curve] => [tag, sum]);
  return [...recorded, ...files.filter(isPercentiles).flatMap((file) => [...curvesOf(file, isAsked, warn)])];
}

function hgrm(files: readonly string[], { tag, unit }: ShowOptions): string {
  const [track, ...others] = record(files, tagFilter(tag), warn).tracks.values();
  if (track === undefined) throw noTag(files, tag);
  if (others.length > 0)
    throw new CodedError("hdr_several_tags", "Percentile output is of one tag; choose one with --tag.");
  return hgrmOf(track.sum, UNITS_NS[unit]).trimEnd();
}

function table(curves: readonly [string, Curve][], { percentiles, unit }: ShowOptions): string {
  const heads = [`tag (${unit})`, "count", "mean", ...percentiles.map((percentile) => `p${percentile}`), "max"];
  const lines = curves.map(([tag, curve]) => [
    nameOf(tag),
    String(curve.totalCount),
    ...valuesOf(curve, percentiles).map((value) => valueText(value, unit)),
  ]);
  return columns([heads, ...lines]);
}

function valuesOf(curve: Curve, percentiles: readonly number[]): number[] {
  return [curve.mean, ...percentiles.map((percentile) => curve.getValueAtPercentile(percentile)), curve.maxValue];
}

function json(curves: readonly [string, Curve][], { percentiles, unit }: ShowOptions): string {
  const entries = curves.map(([tag, curve]) => ({
    tag,
    unit,
    count: curve.totalCount,
    mean: curve.mean / UNITS_NS[unit],
    percentiles: Object.fromEntries(
      percentiles.map((percentile) => [percentile, curve.getValueAtPercentile(percentile) / UNITS_NS[unit]]),
    ),
    max: curve.maxValue / UNITS_NS[unit],
  }));
  return JSON.stringify(entries, null, 2);
}
