/**
 * What a gateway worker allocates for a request, or for an event of a stream, and where: the load of one scenario, with watch.ts in the
 * worker. Runner process only. What must hold: all that is started ends, and nothing is left behind.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import type { Processes } from "../flame/graphs.ts";
import { Subject, type Watch, type WatchedLoad } from "../flame/subject.ts";
import type { LoadSummary } from "../runner/load.ts";
import { textTable } from "../runner/text-table.ts";
import { sitesOf } from "./sites.ts";
import type { Watched } from "./watch.ts";

const WATCH = new URL("watch.ts", import.meta.url);
const ROWS = 30;
const POLL_MS = 50;
const DEADLINE_MS = 10_000;

class HeapWatch implements Watch {
  readonly flags: readonly string[];
  readonly #directory: string;
  #workers: readonly number[] = [];

  constructor(directory: string) {
    this.#directory = directory;
    this.flags = [`--import=${WATCH.href}?directory=${encodeURIComponent(directory)}`];
  }

  begin({ workers }: Processes): void {
    this.#workers = workers;
    this.#tell();
  }

  async end(): Promise<void> {
    this.#tell();
    const until = performance.now() + DEADLINE_MS;
    while (!this.#workers.every((pid) => existsSync(this.#fileOf(pid)))) {
      if (performance.now() > until) throw new Error("the worker did not say what it allocated");
      await delay(POLL_MS);
    }
  }

  #tell(): void {
    for (const pid of this.#workers) process.kill(pid, "SIGUSR2");
  }

  read(): Watched[] {
    return this.#workers.map((pid): Watched => JSON.parse(readFileSync(this.#fileOf(pid), "utf8")));
  }

  #fileOf(pid: number): string {
    return join(this.#directory, `${pid}.json`);
  }
}

/** The report, as text. */
export async function allocations(load: WatchedLoad): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "sluice-allocations-"));
  try {
    const watch = new HeapWatch(directory);
    const { summary } = await new Subject(watch, directory).watch(load);
    return watch
      .read()
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
