/**
 * How long a gateway worker keeps all others waiting: the turns of its event loop under the load of one scenario, with watch.ts in the
 * worker. Runner process only. What must hold: all that is started ends, and nothing is left behind.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HDR_COUNTS } from "../../src/base/hdr-geometry.ts";
import { histogramFromCounts } from "../../src/telemetry/hdr/histogram.ts";
import { InsideWatch } from "../flame/inside-watch.ts";
import { Subject, type WatchedLoad } from "../flame/subject.ts";
import type { LoadSummary } from "../runner/load.ts";
import { percentilesOf } from "../runner/percentiles.ts";
import { textTable } from "../runner/text-table.ts";

const WATCH = new URL("watch.ts", import.meta.url);

/** The report, as text. */
export async function pauses(load: WatchedLoad): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "sluice-pauses-"));
  try {
    const watch = new InsideWatch(WATCH, directory);
    const { summary } = await new Subject(watch, directory).watch(load);
    return watch
      .read<number[]>()
      .map((turns) => pausesText(turns, summary))
      .join("\n\n");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** `turns`: index and count of the histogram, in turns. */
export function pausesText(
  turns: readonly number[],
  { requests, right }: Pick<LoadSummary, "requests" | "right">,
): string {
  const counts = new Float64Array(HDR_COUNTS);
  for (let place = 0; place + 1 < turns.length; place += 2) counts[turns[place] ?? 0] = turns[place + 1] ?? 0;
  const histogram = histogramFromCounts(counts);
  const { p50Us, p99Us, p999Us, maxUs } = percentilesOf(histogram);
  const row = [p50Us, p99Us, p999Us, maxUs].map((us) => `${us.toFixed(0)} us`);
  const load = `${requests} requests, ${requests - right} wrong`;
  return [
    `${histogram.totalCount} turns of the worker's event loop, of CPU time; ${load}`,
    textTable(["", "p50", "p99", "p99.9", "longest"], [["a turn", ...row]]),
  ].join("\n");
}
