/**
 * Profiles with Linux perf: scripts, native code and the kernel in one stack, 499 times a second of CPU time (not 500, so as
 * not to keep step with timers). It finds the names of compiled scripts in /tmp/perf-PID.map, where V8 writes them.
 */
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { Child } from "../contestants/child.ts";
import type { Processes } from "./graphs.ts";
import { samplesOf } from "./perf-script.ts";
import { type Profiler, startedPids } from "./profiler.ts";
import type { Sample } from "./stack-tree.ts";

const RECORD = ["record", "-q", "-N", "-F", "499", "-g", "-e", "cpu-clock"];
const TEXT_BYTES_MAX = 400 * 1_024 * 1_024;

export class Perf implements Profiler {
  readonly name = "perf, 499 times per second of CPU time";
  readonly flags: readonly string[];
  readonly #directory: string;
  readonly #file: string;
  #recording: Child | null = null;

  /** `directory`: for what it writes. */
  constructor(directory: string) {
    this.#directory = directory;
    this.#file = join(directory, "perf.data");
    this.flags = ["--perf-basic-prof", "--interpreted-frames-native-stack", `--logfile=${join(directory, "v8.log")}`];
  }

  /** Whether there is a perf that may record here. */
  static works(directory: string): boolean {
    const trial = spawnSync("perf", [...RECORD, "-o", join(directory, "trial.data"), "--", "true"], {
      stdio: "ignore",
    });
    return trial.status === 0;
  }

  begin({ supervisor, workers }: Processes): void {
    this.#recording = new Child("perf", [...RECORD, "-o", this.#file, "-p", [supervisor, ...workers].join(",")]);
  }

  async end(): Promise<void> {
    await this.#recording?.end("SIGINT");
    this.#recording = null;
  }

  samples(): Sample[] {
    const args = ["script", "--no-inline", "-i", this.#file, "-F", "pid,tid,ip,sym,dso"];
    const { stdout, stderr, status } = spawnSync("perf", args, { encoding: "utf8", maxBuffer: TEXT_BYTES_MAX });
    if (status !== 0) throw new Error(`perf script failed: ${stderr}`);
    return samplesOf(stdout);
  }

  clean(): void {
    for (const pid of startedPids(this.#directory)) rmSync(`/tmp/perf-${pid}.map`, { force: true });
  }
}
