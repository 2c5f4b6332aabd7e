/**
 * Watches how long the turns of a gateway worker's event loop are: loaded before it (`--import watch.ts?directory=...`), begins at a
 * SIGUSR2, ends at the next one and writes PID.json. Other processes and threads, which get the same flags, stay as they are.
 */
import { renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";
import { isMainThread } from "node:worker_threads";

const WORKER = /\/gateway\/worker\.[jt]s$/;

interface LoopTurns {
  start(): void;
  /** Index and count of the histogram, in turns; nanoseconds of CPU time. */
  stop(): number[];
}

function watch(file: string): void {
  const turns: LoopTurns = createRequire(import.meta.url)("../native/build/loop-turns.node");
  let isRunning = false;
  process.on("SIGUSR2", () => {
    isRunning = !isRunning;
    if (isRunning) return turns.start();
    // Whole as soon as it has its name.
    writeFileSync(`${file}.part`, JSON.stringify(turns.stop()));
    renameSync(`${file}.part`, file);
  });
}

const directory = new URL(import.meta.url).searchParams.get("directory");
if (directory !== null && isMainThread && WORKER.test(process.argv[1] ?? "")) {
  watch(join(directory, `${process.pid}.json`));
}
