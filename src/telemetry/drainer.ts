/**
 * Has the rings drained: looks at them a few times a second and sends pool tasks. Supervisor main thread; decodes nothing,
 * and passes packed batches from the drain task to the access log unread. At most one task per ring is in flight, so a
 * ring has one reader; a ring whose log lines are not handed over yet is not drained further, so a slow log fills the ring
 * and not this process. A task that fails leaves its records in the ring and is tried again by the next tick.
 */
import { nowMs } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import {
  DRAIN_BATCH_RECORDS_MAX,
  DRAIN_INTERVAL_MS,
  DRAIN_PATIENCE_LOOKS,
  DRAIN_RECORDS_MIN,
  POOL_QUEUE_MAX,
} from "../base/limits.ts";
import type { AccessLogTask, Taken } from "./access-log.ts";
import type { DrainResult, DrainTask } from "./drain.ts";
import { RingWatch } from "./ring-watch.ts";
import { Series, type SeriesRow } from "./series.ts";
import type { HeldLines } from "./sinks/access-log.ts";
import { type Outcome, reasonLabel, reasonOf } from "./sinks/sink.ts";
import { TaskPool } from "./task-pool.ts";

/** Each ring in flight puts one task into the pool; four places are for a flush, a reopen and the end of the log, and for histograms. */
const RINGS_IN_FLIGHT_MAX = POOL_QUEUE_MAX - 4;
/**
 * SQLite has one writer, the access log as well, and each thread holds 20 MB. And a thread that runs goes on in the middle of an
 * upgrade, where none can be started: so what is drained then can also be logged.
 */
const DRAIN_THREADS_MAX = 1;
const ACCESS_LOG_TASK = new URL("./access-log.ts", import.meta.url);
/** An error that lasts is reported once per this, and counted every time. */
const REPORT_INTERVAL_MS = 30_000;
/** Messages remembered for that. */
const REPORTS_MAX = 64;

export interface DrainerOptions {
  readonly dataDir: string;
  /** null: no access log. */
  readonly accessLogPath: string | null;
  /** For the log. The drainer goes on. */
  readonly onError: (error: unknown) => void;
}

/** What happened since the gateway started, for /metrics. */
export interface DrainTally {
  records: number;
  torn: number;
  failures: number;
  logLines: number;
  /** Lines lost, by reason. */
  readonly logDropped: Map<string, number>;
}

/** What goes to the program that takes over. */
export interface LeftDrain {
  readonly tally: Readonly<Omit<DrainTally, "logDropped">>;
  readonly logDropped: readonly (readonly [reason: string, lines: number])[];
  readonly series: readonly SeriesRow[];
  /** Lines that the access log could not take; null: it took all. */
  readonly held: HeldLines | null;
}

const NEWLINE = 10;

export class Drainer {
  readonly series = new Series();
  readonly tally: DrainTally = { records: 0, torn: 0, failures: 0, logLines: 0, logDropped: new Map() };
  readonly #dataDir: string;
  readonly #onError: (error: unknown) => void;
  readonly #watch: RingWatch;
  readonly #drains: TaskPool<DrainTask, DrainResult>;
  readonly #busy = new Map<string, Promise<void>>();
  readonly #reportedAtMs = new Map<string, number>();
  #accessLogPath: string | null;
  #timer: NodeJS.Timeout | null = null;
  #turn = 0;
  #looks = 0;
  /** The log holds lines that it could not write. */
  #logHolds = false;
  /** After close(): what it could not write. */
  #held: HeldLines | null = null;

  constructor(options: DrainerOptions) {
    this.#dataDir = options.dataDir;
    this.#accessLogPath = options.accessLogPath;
    this.#onError = options.onError;
    const onError = (error: unknown) => this.#fail(error);
    this.#watch = new RingWatch(options.dataDir, onError);
    const drainFile = new URL("./drain.ts", import.meta.url);
    this.#drains = new TaskPool({ file: drainFile, threadsMax: DRAIN_THREADS_MAX, onError });
  }

  /** After close(). */
  get left(): LeftDrain {
    const { logDropped, ...tally } = this.tally;
    return { tally, logDropped: [...logDropped], series: [...this.series.rows()], held: this.#held };
  }

  /** Goes on from what another program left. Before start(). */
  adopt({ tally, logDropped, series, held }: LeftDrain): void {
    const { records, torn, failures, logLines } = tally;
    Object.assign(this.tally, { records, torn, failures, logLines });
    for (const [reason, lines] of logDropped) this.tally.logDropped.set(reason, lines);
    this.series.adopt(series);
    this.#held = held;
  }

  /** Looks at the rings every DRAIN_INTERVAL_MS until close(). */
  start(): void {
    if (this.#held !== null) this.#holdAgain(this.#held);
    this.#held = null;
    this.#timer ??= setInterval(() => this.#tick(), DRAIN_INTERVAL_MS);
  }

  /**
   * Drains until all rings are empty, or until a task fails: then the rest stays in the rings for the next start. For
   * shutdown, when no worker writes any more.
   */
  async drainAll(): Promise<void> {
    for (;;) {
      await Promise.all(this.#busy.values());
      const failures = this.tally.failures;
      if (!this.#startDrains(1)) return;
      await Promise.all(this.#busy.values());
      if (this.tally.failures > failures) return;
    }
  }

  /** Runs a task of another file in the drain's thread, which is awake whenever there is traffic. */
  runBeside<Task, Result>(file: URL, task: Task): Promise<Result> {
    return this.#drains.runOther(file, task);
  }

  /** After the log file was renamed. Resolves when lines go to a new file, or when that failed and was reported. */
  async reopenLog(): Promise<void> {
    await this.#log("reopen", null, 0);
  }

  /** The configuration changed. null ends the log. */
  setAccessLogPath(path: string | null): void {
    if (path === null) void this.#log("end", null, 0);
    this.#accessLogPath = path;
  }

  /** Waits for the tasks in flight and ends the thread. What is still in the rings stays there; start() goes on. */
  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    await Promise.all(this.#busy.values());
    if (this.#logHolds) await this.#log("flush", null, 0);
    if (this.#logHolds) await this.#takeHeld();
    await this.#drains.close();
  }

  /** Few records wait for more, because a transaction takes the CPU from the workers, which have little to do then, but need it at once. */
  #tick(): void {
    this.#looks += 1;
    try {
      this.#startDrains(this.#looks % DRAIN_PATIENCE_LOOKS === 0 ? 1 : DRAIN_RECORDS_MIN);
    } catch (error) {
      this.#fail(error);
    }
    if (this.#logHolds && this.#busy.size === 0) void this.#log("flush", null, 0);
  }

  /** Whether any ring holds so many records. Begins elsewhere each time, so that rings beyond the bound get their turn. */
  #startDrains(recordsMin: number): boolean {
    const paths = this.#watch.holding(recordsMin);
    this.#turn += 1;
    for (let i = 0; i < paths.length; i += 1) {
      const path = paths[(this.#turn + i) % paths.length];
      if (path === undefined || this.#busy.has(path)) continue;
      if (this.#busy.size >= RINGS_IN_FLIGHT_MAX) break;
      this.#busy.set(path, this.#drainRing(path));
    }
    return paths.length > 0;
  }

  /** Never rejects. */
  async #drainRing(ringPath: string): Promise<void> {
    try {
      while (await this.#drainBatch(ringPath));
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#busy.delete(ringPath);
    }
  }

  /**
   * Whether the next batch does not wait for the next tick. Below half a batch it does, because small transactions cost more per
   * record; with what is left then, a ring holds what the fastest worker writes until that tick.
   */
  async #drainBatch(ringPath: string): Promise<boolean> {
    const log = this.#accessLogPath !== null;
    const result = await this.#drains.run({ dataDir: this.#dataDir, ringPath, log });
    this.tally.records += result.records;
    this.tally.torn += result.torn;
    this.series.add(result.rollup);
    if (result.heldReason !== null)
      throw new CodedError("usage_store", `usage stays in the rings: ${result.heldReason}`);
    if (result.batch !== null) await this.#log("write", result.batch, result.records);
    return result.remaining > DRAIN_BATCH_RECORDS_MAX / 2;
  }

  /** Never rejects: the access log is for eyes, and usage is drained without it. */
  async #log(action: AccessLogTask["action"], batch: Uint8Array<ArrayBuffer> | null, records: number): Promise<void> {
    const path = this.#accessLogPath;
    if (path === null) return;
    const transfer = batch === null ? [] : [batch.buffer];
    try {
      this.#settleLog(await this.#runLog({ path, action, batch, records }, transfer), records);
    } catch (error) {
      this.#settleLog({ kind: "dropped", reason: reasonLabel(reasonOf(error)), records }, records);
      this.#fail(error);
    }
  }

  #runLog(task: AccessLogTask, transfer: readonly ArrayBuffer[] = []): Promise<Outcome | Taken> {
    return this.#drains.runOther(ACCESS_LOG_TASK, task, transfer);
  }

  async #takeHeld(): Promise<void> {
    const path = this.#accessLogPath;
    if (path === null) return;
    const taken = await this.#runLog({ path, action: "take", batch: null, records: 0 }).catch(() => null);
    if (taken?.kind === "taken") this.#held = taken.held;
    this.#logHolds = false;
  }

  /** Another path is another log: then this one gets a last chance, like at a reload. */
  #holdAgain(held: HeldLines): void {
    const records = held.lines.filter((byte) => byte === NEWLINE).length;
    const task: AccessLogTask = { path: held.path, action: "hold", batch: null, records, held };
    const dropped = (error: unknown) => ({ kind: "dropped" as const, reason: reasonLabel(reasonOf(error)), records });
    void this.#runLog(task)
      .catch(dropped)
      .then((outcome) => this.#settleLog(outcome, 0));
  }

  #settleLog(outcome: Outcome | Taken, records: number): void {
    if (outcome.kind === "taken") return;
    this.#logHolds = outcome.kind === "held";
    if (outcome.kind === "dropped") {
      const { logDropped } = this.tally;
      logDropped.set(outcome.reason, (logDropped.get(outcome.reason) ?? 0) + outcome.records);
    } else {
      this.tally.logLines += records;
    }
    if (outcome.kind !== "written") this.#report(new CodedError("access_log", `access log: ${outcome.reason}`));
  }

  #fail(error: unknown): void {
    this.tally.failures += 1;
    this.#report(error);
  }

  #report(error: unknown): void {
    const reason = reasonOf(error);
    const now = nowMs();
    if (now - (this.#reportedAtMs.get(reason) ?? -Infinity) < REPORT_INTERVAL_MS) return;
    if (this.#reportedAtMs.size >= REPORTS_MAX) this.#reportedAtMs.clear();
    this.#reportedAtMs.set(reason, now);
    this.#onError(error);
  }
}
