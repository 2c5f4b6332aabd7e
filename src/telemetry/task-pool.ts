/**
 * A piscina pool, of one task file in the main, that comes back after a failure. Supervisor main thread. Piscina itself stops replacing
 * threads for good once one failed to start; here such a pool is torn down and a new one made for the next task, at most
 * once per PAUSE. A task that fails, or whose thread dies, rejects its own promise and nothing else.
 */
import { Piscina } from "piscina";
import { nowMs } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import { POOL_QUEUE_MAX } from "../base/limits.ts";
import { PROGRAM, requireSameProgram } from "../base/program.ts";

/** Between two attempts to start a pool that fails at boot: long enough not to burn a CPU on it. */
const PAUSE_MS = 2_000;
/** A thread that had nothing to do for this long gives its memory back. */
const IDLE_TIMEOUT_MS = 30_000;
/** A drain batch with its SQLite cache and its packed copy takes about 20 MB. */
const HEAP_MB_MAX = 192;
/** Records live as long as their batch, so that collecting them early costs nothing that can be measured, and saves 10 MB. */
const YOUNG_MB_MAX = 4;

export interface TaskPoolOptions {
  /** URL of a .ts file whose default export is the task. */
  readonly file: URL;
  readonly threadsMax: number;
  /** Told when a thread fails outside any task, which means at boot. */
  readonly onError: (error: unknown) => void;
}

export class TaskPool<Task, Result> {
  readonly #options: TaskPoolOptions;
  #piscina: Piscina<unknown, unknown> | null = null;
  #pausedUntilMs = 0;
  /** What a task is told meanwhile. */
  #pauseReason: unknown = null;

  constructor(options: TaskPoolOptions) {
    this.#options = options;
  }

  /**
   * Rejects with the task's error, with CodedError `pool_down` while the pool is paused after a failed start, and with
   * `program_changed` if a thread would have to be started from another program's files.
   */
  async run(task: Task, transfer: readonly ArrayBuffer[] = []): Promise<Result> {
    return (await this.#running().run(task, { transferList: [...transfer] })) as Result;
  }

  /** Another file's task in the same threads. */
  async runOther<OtherTask, OtherResult>(
    file: URL,
    task: OtherTask,
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<OtherResult> {
    return (await this.#running().run(task, { filename: file.href, transferList: [...transfer] })) as OtherResult;
  }

  /** Waits for the tasks that run, then ends the threads. A later run() starts them again. */
  async close(): Promise<void> {
    const piscina = this.#piscina;
    this.#piscina = null;
    await piscina?.close();
  }

  #running(): Piscina<unknown, unknown> {
    if (nowMs() < this.#pausedUntilMs) throw this.#pauseReason;
    if ((this.#piscina?.threads.length ?? 0) === 0) this.#requireSameProgram();
    this.#piscina ??= this.#start();
    return this.#piscina;
  }

  /** Reads the whole program, so not at every task of those that come meanwhile. */
  #requireSameProgram(): void {
    try {
      requireSameProgram({ program: PROGRAM });
    } catch (error) {
      this.#pause(error);
      throw error;
    }
  }

  #start(): Piscina<unknown, unknown> {
    const piscina = new Piscina<unknown, unknown>({
      filename: this.#options.file.href,
      // None at rest: an idle thread with its database holds about 35 MB; a new one takes 0.1 s of CPU.
      minThreads: 0,
      maxThreads: this.#options.threadsMax,
      maxQueue: POOL_QUEUE_MAX,
      idleTimeout: IDLE_TIMEOUT_MS,
      // "sync" parks an idle thread in Atomics.wait, deaf to everything else.
      atomics: "disabled",
      recordTiming: false,
      workerData: { program: PROGRAM },
      // Not inherited, so that an inspector or heap flag of the supervisor does not reach the pool.
      execArgv: ["--disable-warning=ExperimentalWarning"],
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX, maxYoungGenerationSizeMb: YOUNG_MB_MAX },
    });
    piscina.on("error", (error: unknown) => this.#fail(piscina, error));
    return piscina;
  }

  #fail(piscina: Piscina<unknown, unknown>, error: unknown): void {
    this.#options.onError(error);
    if (this.#piscina !== piscina) return;
    this.#piscina = null;
    this.#pause(new CodedError("pool_down", "the task pool failed to start; it is retried", error));
    piscina.destroy().catch(this.#options.onError);
  }

  #pause(reason: unknown): void {
    this.#pausedUntilMs = nowMs() + PAUSE_MS;
    this.#pauseReason = reason;
  }
}
