/**
 * The folder of a result: result.json, an interval log (.hlog) per contestant, percentiles (.hgrm) per scenario, contestant and metric,
 * and a page with the curves. What must hold: everything that was measured is in the logs, void turns excepted.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hgrmOf } from "../../src/telemetry/hdr/hgrm.ts";
import { HlogWriter } from "../../src/telemetry/hdr/hlog.ts";
import { plotPage } from "../../src/telemetry/hdr/plot.ts";
import { histogramOf } from "./intervals.ts";
import type { Interval } from "./load.ts";
import { headOf, noiseText } from "./report.ts";
import { RESULT_FILE, type Result } from "./result.ts";
import { type Measured, metricsOf } from "./turn.ts";

export const CURVES_FILE = "curves.html";
const HGRM_DIRECTORY = "hgrm";
/** What a tag may not have. */
const NOT_IN_TAGS = /[^A-Za-z0-9._/-]/g;

export function outputDirectory(root: string, startedAt: Date, commit: string): string {
  const stamp = startedAt
    .toISOString()
    .replace(/\.\d+Z$/, "Z")
    .replaceAll(":", "");
  return join(root, `${stamp}-${commit.replaceAll("+", "-changed")}`);
}

/** `turns` in the order in which they were measured. */
export function writeOutput(directory: string, result: Result, turns: readonly Measured[]): void {
  const tracks = tracksOf(turns.filter(({ turn }) => turn.voided === null));
  mkdirSync(join(directory, HGRM_DIRECTORY), { recursive: true });
  writeFileSync(join(directory, RESULT_FILE), `${JSON.stringify(result, null, 2)}\n`);
  for (const [contestant, own] of Map.groupBy(tracks, (track) => track.contestant)) {
    writeFileSync(join(directory, `${contestant}.hlog`), hlogOf(own, headOf(result)));
  }
  for (const track of tracks) {
    const file = join(directory, HGRM_DIRECTORY, `${tagOf(track).replaceAll("/", ".")}.hgrm`);
    writeFileSync(file, hgrmOf(histogramOf(track.intervals)));
  }
  writeFileSync(join(directory, CURVES_FILE), curvesOf(result, tracks));
}

/** One metric of one contestant in one scenario, over all rounds. */
interface Track {
  readonly scenario: string;
  readonly contestant: string;
  readonly metric: string;
  readonly intervals: Interval[];
}

function tracksOf(turns: readonly Measured[]): Track[] {
  const tracks = new Map<string, Track>();
  for (const { turn, intervals } of turns) {
    // The first byte of an answer that is no stream is its end as well.
    for (const metric of metricsOf(intervals).filter((name) => turn.load.events > 0 || name !== "ttft")) {
      const empty = { scenario: turn.scenario, contestant: turn.contestant, metric, intervals: [] };
      const track = tracks.get(tagOf(empty)) ?? empty;
      tracks.set(tagOf(empty), track);
      track.intervals.push(...intervals.filter((interval) => interval.metric === metric));
    }
  }
  return [...tracks.values()];
}

function tagOf({ scenario, contestant, metric }: Track): string {
  return `${scenario}/${contestant}/${metric}`.replaceAll(NOT_IN_TAGS, "_");
}

function hlogOf(tracks: readonly Track[], comments: readonly string[]): string {
  const lines: string[] = [];
  const writer = new HlogWriter((text) => lines.push(text), tracks[0]?.intervals[0]?.startMs ?? 0, comments);
  for (const track of tracks) {
    for (const interval of track.intervals) {
      const { startMs, endMs } = interval;
      writer.interval({ tag: tagOf(track), startMs, endMs, histogram: histogramOf([interval]) });
    }
  }
  return lines.join("");
}

function curvesOf(result: Result, tracks: readonly Track[]): string {
  const series = tracks.map((track) => ({
    name: track.contestant,
    group: `${track.scenario} ${track.metric}`,
    histogram: histogramOf(track.intervals),
  }));
  const refused = result.scenarios.flatMap(({ name, refused }) =>
    refused === null ? [] : [`${name}: not to be quoted: ${refused.reason}`],
  );
  const notes = [...headOf(result), noiseText(result), ...refused];
  return plotPage({ title: `Latency by percentile, commit ${result.commit}`, series, notes });
}
