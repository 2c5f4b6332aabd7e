/**
 * Profiles with V8's own sampler, where there is no perf: every thread of Node writes a log, a tick per millisecond. Native
 * code is seen where a script called it and where it stands still, not what is in between, and nothing of the kernel.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Processes } from "./graphs.ts";
import type { Profiler } from "./profiler.ts";
import { POOL_THREAD, type Sample } from "./stack-tree.ts";
import { Symbols } from "./symbols.ts";
import { type Mapping, mappingsOf, samplesOfTicks, type Ticks } from "./v8-ticks.ts";

const TICKS_BYTES_MAX = 400 * 1_024 * 1_024;
const LOG = /^isolate-\w+-(\d+)-v8\.log$/;

export class V8Prof implements Profiler {
  readonly name =
    "V8's sampler, 1,000 times per second (install perf for the kernel's part and complete native stacks)";
  readonly flags: readonly string[];
  readonly #directory: string;
  #mappings = new Map<number, readonly Mapping[]>();
  #fromMs = 0;
  #toMs = 0;

  /** `directory`: for what it writes. */
  constructor(directory: string) {
    this.#directory = directory;
    this.flags = ["--prof", `--logfile=${join(directory, "v8.log")}`];
  }

  begin({ supervisor, workers }: Processes): void {
    const pids = [supervisor, ...workers];
    this.#mappings = new Map(pids.map((pid) => [pid, mappingsOf(readFileSync(`/proc/${pid}/maps`, "utf8"))]));
    this.#fromMs = Date.now();
  }

  async end(): Promise<void> {
    this.#toMs ||= Date.now();
  }

  samples(): Sample[] {
    const symbols = new Symbols();
    return readdirSync(this.#directory).flatMap((name) => {
      const pid = Number(LOG.exec(name)?.[1]);
      const mappings = this.#mappings.get(pid);
      return mappings === undefined ? [] : this.#samplesOfLog(join(this.#directory, name), pid, mappings, symbols);
    });
  }

  #samplesOfLog(file: string, pid: number, mappings: readonly Mapping[], symbols: Symbols): Sample[] {
    const profile = preprocessed(file);
    // A log's clock starts with the log.
    const { birthtimeMs } = statSync(file);
    const isPool = profile.code.some(({ name }) => name.includes("node:internal/main/worker_thread"));
    return samplesOfTicks(profile, {
      pid,
      thread: isPool ? POOL_THREAD : `${pid}`,
      mappings,
      symbolAt: (library, offset) => symbols.at(library, offset),
      fromUs: (this.#fromMs - birthtimeMs) * 1_000,
      toUs: (this.#toMs - birthtimeMs) * 1_000,
    });
  }

  clean(): void {}
}

/** PATH without nm: what V8 would read from it is cut short, and names are looked up here. */
function preprocessed(file: string): Ticks {
  const args = ["--prof-process", "--preprocess", file];
  const env = { PATH: "/nonexistent" };
  const { stdout, stderr, status } = spawnSync(process.execPath, args, {
    encoding: "utf8",
    env,
    maxBuffer: TICKS_BYTES_MAX,
  });
  if (status !== 0) throw new Error(`the log of V8 cannot be read: ${stderr}`);
  return JSON.parse(stdout);
}
