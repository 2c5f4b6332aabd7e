/**
 * The folder of a result: result.json, an interval log (.hlog) per contestant, percentiles (.hgrm) per scenario, contestant and metric,
 * and a page with the curves. What must hold: everything that was measured is in the logs, void turns excepted.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hgrmOf } from "../../src/telemetry/hdr/hgrm.ts";
import { HlogWriter } from "../../src/telemetry/hdr/hlog.ts";
import { histogramOf } from "./intervals.ts";
import type { Interval, Metric } from "./load.ts";
import { RESULT_FILE, type Result } from "./result.ts";
import type { Measured } from "./turn.ts";

const METRICS: readonly Metric[] = ["total", "ttft", "gap"];
/** What a tag may not have. */
const NOT_IN_TAGS = /[^A-Za-z0-9._/-]/g;

export function outputDirectory(root: string, startedAt: Date, commit: string): string {
  const stamp = startedAt
    .toISOString()
    .replace(/\.\d+Z$/, "Z")
    .replaceAll(":", "");
  return join(root, `${stamp}-${commit.replaceAll("+", "-changed")}`);
}

export function writeResult(directory: string, result: Result): void {
  writeFileSync(join(directory, RESULT_FILE), `${JSON.stringify(result, null, 2)}\n`);
}

/** `turns` in the order in which they were measured. */
export function writeHistograms(directory: string, turns: readonly Measured[], comments: readonly string[]): void {
  const valid = turns.filter(({ turn }) => turn.voided === null);
  for (const [contestant, own] of Map.groupBy(valid, ({ turn }) => turn.contestant)) {
    writeFileSync(join(directory, `${contestant}.hlog`), hlogOf(own, comments));
  }
  mkdirSync(join(directory, "hgrm"), { recursive: true });
  for (const [tag, intervals] of byTag(valid)) {
    writeFileSync(join(directory, "hgrm", `${tag.replaceAll("/", ".")}.hgrm`), hgrmOf(histogramOf(intervals)));
  }
}

function hlogOf(turns: readonly Measured[], comments: readonly string[]): string {
  const lines: string[] = [];
  const startMs = turns[0]?.intervals[0]?.startMs ?? 0;
  const writer = new HlogWriter((text) => lines.push(text), startMs, comments);
  for (const measured of turns) {
    for (const interval of measured.intervals) {
      const { startMs: from, endMs: to } = interval;
      writer.interval({
        tag: tagOf(measured, interval.metric),
        startMs: from,
        endMs: to,
        histogram: histogramOf([interval]),
      });
    }
  }
  return lines.join("");
}

function tagOf({ turn }: Measured, metric: Metric): string {
  return `${turn.scenario}/${turn.contestant}/${metric}`.replaceAll(NOT_IN_TAGS, "_");
}

function byTag(turns: readonly Measured[]): Map<string, Interval[]> {
  const tagged = turns.flatMap((measured) => METRICS.map((metric) => ({ measured, metric })));
  const entries = tagged.map(({ measured, metric }): [string, Interval[]] => [
    tagOf(measured, metric),
    measured.intervals.filter((interval) => interval.metric === metric),
  ]);
  const tags = new Map<string, Interval[]>();
  for (const [tag, intervals] of entries.filter(([, list]) => list.length > 0)) {
    tags.set(tag, [...(tags.get(tag) ?? []), ...intervals]);
  }
  return tags;
}
