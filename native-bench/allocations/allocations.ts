/**
 * What a gateway worker allocates for a request, or for an event of a stream, and where: the load of one scenario, with watch.ts in the
 * worker. Runner process only. What must hold: all that is started ends, and nothing is left behind.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InsideWatch } from "../flame/inside-watch.ts";
import { Subject, type WatchedLoad } from "../flame/subject.ts";
import type { LoadSummary } from "../runner/load.ts";
import { textTable } from "../runner/text-table.ts";
import { sitesOf } from "./sites.ts";
import type { Watched } from "./watch.ts";

const WATCH = new URL("watch.ts", import.meta.url);
const ROWS = 30;

/** The report, as text. */
export async function allocations(load: WatchedLoad): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "sluice-allocations-"));
  try {
    const watch = new InsideWatch(WATCH, directory);
    const { summary } = await new Subject(watch, directory).watch(load);
    return watch
      .read<Watched>()
      .map((watched) => reportOf(watched, summary))
      .join("\n\n");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function reportOf({ heapBytes, collections, pausedMs, sites }: Watched, { requests, events }: LoadSummary): string {
  const all = sitesOf(sites);
  const sampled = all.reduce((sum, { bytes }) => sum + bytes, 0);
  const units = events > 0 ? events : requests;
  const rows = all
    .slice(0, ROWS)
    .map(({ name, bytes }) => [name, (bytes / units).toFixed(0), `${((100 * bytes) / sampled).toFixed(1)} %`]);
  const unit = events > 0 ? "event of a stream" : "request";
  return [
    `${(heapBytes / units).toFixed(0)} bytes of heap per ${unit}, over ${units}; ${requests} requests`,
    `${collections} collections, ${((1_000 * pausedMs) / units).toFixed(2)} us of pause per ${unit}`,
    textTable(["function", "bytes", "share"], rows),
  ].join("\n");
}
