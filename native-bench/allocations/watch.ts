/**
 * Watches what a gateway worker allocates: loaded before it (`--import watch.ts?directory=...`), begins at a SIGUSR2, ends at the
 * next one and writes PID.json. Collections of garbage are looked at before and after, which gives the bytes exactly, and the
 * sampling heap profiler says whose they are. Other processes and threads, which get the same flags, stay as they are.
 */
import { renameSync, writeFileSync } from "node:fs";
import { type HeapProfiler, Session } from "node:inspector";
import { join } from "node:path";
import process from "node:process";
import { GCProfiler, type GCProfilerResult, getHeapStatistics } from "node:v8";
import { isMainThread } from "node:worker_threads";

const WORKER = /\/gateway\/worker\.[jt]s$/;
/** Between two samples on average: one of four requests. */
const SAMPLED_BYTES = 16_384;

/** What PID.json has. */
export interface Watched {
  /** In the heap of V8. */
  readonly heapBytes: number;
  readonly collections: number;
  /** Milliseconds in which collections stopped everything else. */
  readonly pausedMs: number;
  readonly sites: HeapProfiler.SamplingHeapProfileNode;
}

class Watcher {
  readonly #file: string;
  readonly #session = new Session();
  #collections = new GCProfiler();
  #usedAtBegin = -1;

  constructor(file: string) {
    this.#file = file;
    this.#session.connect();
  }

  toggle(): void {
    if (this.#usedAtBegin < 0) this.#begin();
    else this.#end();
  }

  #begin(): void {
    this.#session.post("HeapProfiler.startSampling", {
      samplingInterval: SAMPLED_BYTES,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true,
    });
    this.#collections.start();
    this.#usedAtBegin = getHeapStatistics().used_heap_size;
  }

  #end(): void {
    const used = getHeapStatistics().used_heap_size;
    const seen = this.#collections.stop();
    this.#session.post("HeapProfiler.stopSampling", (error, result) => {
      if (error === null) this.#write({ ...sumOf(seen, this.#usedAtBegin, used), sites: result.profile.head });
    });
  }

  /** Whole as soon as it has its name. */
  #write(watched: Watched): void {
    writeFileSync(`${this.#file}.part`, JSON.stringify(watched));
    renameSync(`${this.#file}.part`, this.#file);
  }
}

/** What was there before a collection, less what the one before had left, was allocated between the two. */
function sumOf({ statistics }: GCProfilerResult, usedAtBegin: number, usedAtEnd: number): Omit<Watched, "sites"> {
  let used = usedAtBegin;
  let heapBytes = 0;
  let pausedMs = 0;
  for (const { beforeGC, afterGC, cost } of statistics) {
    heapBytes += beforeGC.heapStatistics.usedHeapSize - used;
    used = afterGC.heapStatistics.usedHeapSize;
    pausedMs += cost / 1_000;
  }
  return { heapBytes: heapBytes + usedAtEnd - used, collections: statistics.length, pausedMs };
}

const directory = new URL(import.meta.url).searchParams.get("directory");
if (directory !== null && isMainThread && WORKER.test(process.argv[1] ?? "")) {
  const watcher = new Watcher(join(directory, `${process.pid}.json`));
  process.on("SIGUSR2", () => watcher.toggle());
}
