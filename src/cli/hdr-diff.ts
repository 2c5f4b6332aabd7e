/**
 * `sluice hdr diff A B`: percentiles of two runs, and which of them changed beyond noise, with an exit code for CI. What that
 * means is in telemetry/hdr/comparison.ts.
 */
import { Command } from "commander";
import { CodedError } from "../base/errors.ts";
import {
  COMPARISON_DEFAULTS,
  compare,
  controlTag,
  type TagComparison,
  type Verdict,
} from "../telemetry/hdr/comparison.ts";
import { record, tagFilter } from "../telemetry/hdr/input.ts";
import { diffJson, diffText } from "./hdr-diff-report.ts";
import { amount, nameOf, noTag, tagOption, type Unit, unitOption } from "./hdr-options.ts";
import { print, warn } from "./terminal.ts";

const NS_PER_US = 1_000;
const SAME = 0;
const WORSE = 1;
const NOT_COMPARED = 2;
/** nginx shares its CPUs with the contestants; without it, the provider called directly. */
const CONTROLS: readonly string[] = ["nginx", "direct"];
/** Of each run, in the message that none is common. */
const TAGS_NAMED = 5;

const HELP = `
A and B are interval logs (.hlog) or directories of them; tags that both have are compared.

Exit code  0  no percentile is worse beyond noise
           1  at least one is
           2  they cannot be compared: a file that cannot be read, no common tag, too few values; wrong usage

A change is beyond noise if it is so by the rounds of the runs themselves. A round is a stretch of intervals
without a gap; a long stretch has several. Where rounds differ by 6 %, changes from a third are found with three
rounds, from a sixth with five, and one short round shows only what doubles. Two runs of the same are said to differ in
one of a hundred comparisons, however many tags they have; more often only if the machine changed from run to run by
more than from round to round. The largest value is never judged, nor a percentile with fewer than 10 values beyond it.
A tag like scenario/contestant/metric is also compared with its control, which is a contestant with the same code in
both runs: what changed for the control as well is the machine's doing. Controls themselves are not judged.`;

interface DiffOptions {
  readonly tag: readonly string[];
  readonly unit: Unit;
  readonly json?: true;
  readonly threshold: number;
  readonly thresholdUs: number;
  readonly control: readonly string[] | false;
}

export function diffCommand(): Command {
  return new Command("diff")
    .description("what changed from run A to run B, and whether it is beyond noise")
    .argument("<a>", "log or directory of the first run")
    .argument("<b>", "log or directory of the second run")
    .addOption(tagOption())
    .addOption(unitOption())
    .option("--threshold <percent>", "smaller changes do not count", amount, COMPARISON_DEFAULTS.relativeMin * 100)
    .option("--threshold-us <us>", "nor do changes of fewer us", amount, COMPARISON_DEFAULTS.absoluteMinNs / NS_PER_US)
    .option(
      "--control <list>",
      "contestants that are the same in both runs; the first that a scenario has",
      listOf,
      CONTROLS,
    )
    .option("--no-control", "take every change as the contestant's own")
    .option("--json", "as JSON")
    .addHelpText("after", HELP)
    .action((a: string, b: string, options: DiffOptions) => {
      process.exitCode = diff(a, b, options);
    });
}

function diff(a: string, b: string, options: DiffOptions): number {
  try {
    const tags = compared(a, b, options);
    const code = exitCodeOf(tags);
    print(options.json ? diffJson(tags, code) : diffText(tags, options.unit));
    if (code === NOT_COMPARED)
      warn("Nothing could be judged: no percentile has enough values, or a run has one interval only.");
    return code;
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    warn(error.message);
    return NOT_COMPARED;
  }
}

function compared(a: string, b: string, options: DiffOptions): TagComparison[] {
  const { tag: patterns } = options;
  const controls = options.control === false ? [] : options.control;
  const isAsked = tagFilter(patterns);
  // The control is needed whether or not it is asked for.
  const isRead = (tag: string) => isAsked(tag) || controls.includes(tag.split("/")[1] ?? "");
  const [first, second] = [record([a], isRead, warn), record([b], isRead, warn)];
  if (first.tracks.size === 0) throw noTag([a], patterns);
  if (second.tracks.size === 0) throw noTag([b], patterns);
  const tags = compare(first, second, {
    relativeMin: options.threshold / 100,
    absoluteMinNs: options.thresholdUs * NS_PER_US,
    controlOf: (tag) =>
      controls
        .map((control) => controlTag(tag, control))
        .find((control = "") => first.tracks.has(control) && second.tracks.has(control)),
  }).filter(({ tag }) => isAsked(tag));
  if (tags.length > 0) return tags;
  const [inA, inB] = [first, second].map(({ tracks }) =>
    [...tracks.keys()].map(nameOf).slice(0, TAGS_NAMED).join(", "),
  );
  throw new CodedError("hdr_no_common_tag", `${a} and ${b} have no common tag. A has ${inA}; B has ${inB}.`);
}

function listOf(text: string): readonly string[] {
  return text.split(",").map((name) => name.trim());
}

function exitCodeOf(tags: readonly TagComparison[]): number {
  const verdicts = new Set<Verdict>(tags.flatMap(({ changes }) => changes.map(({ verdict }) => verdict)));
  if (verdicts.has("worse")) return WORSE;
  return verdicts.has("same") || verdicts.has("better") ? SAME : NOT_COMPARED;
}
