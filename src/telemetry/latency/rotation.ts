/**
 * Has the latency histograms written to disk at every interval, and shown on the admin port. Supervisor main thread: reads
 * only how much was recorded, so that an idle gateway wakes no pool thread; the rest is done in the pool. An interval
 * that the disk refused is not lost: the next one begins where it began.
 */
import { CodedError } from "../../base/errors.ts";
import type { HistogramsConfig, Series } from "../../config/series.ts";
import { HistogramsGauge } from "../../shm/histogram-reader.ts";
import { reasonLabel, reasonOf } from "../sinks/sink.ts";
import { boundLogs, logFolder } from "./files.ts";
import { type Form, type Query, select } from "./selection.ts";
import type { LatencyResult, LatencyTask } from "./task.ts";

/** Of the pool, for `run`. */
export const LATENCY_TASK = new URL("./task.ts", import.meta.url);
/** Tasks that wait for their turn. */
const WAITING_MAX = 16;

export interface LatencyOptions {
  /** Of createHistograms(). */
  readonly descriptor: number;
  readonly dataDir: string;
  readonly histograms: HistogramsConfig;
  readonly series: { readonly rows: readonly Series[]; readonly beyond: number };
  /** Runs a task in a pool thread. */
  readonly run: (task: LatencyTask) => Promise<LatencyResult>;
  /** For the log. */
  readonly onError: (error: unknown) => void;
}

/** What happened since the gateway started, for /metrics. */
export interface LatencyTally {
  lines: number;
  /** Intervals that could not be written and wait for the next one, by reason. */
  readonly failures: Map<string, number>;
}

/** What goes to the program that takes over. */
export interface LeftLatencies {
  readonly lines: number;
  readonly failures: readonly (readonly [reason: string, intervals: number])[];
}

export type Answer =
  | { readonly status: 200; readonly text: string }
  | { readonly status: 400 | 404 | 503; readonly message: string };

export class LatencyRotation {
  readonly tally: LatencyTally = { lines: 0, failures: new Map() };
  readonly #options: LatencyOptions;
  readonly #gauge: HistogramsGauge;
  #histograms: HistogramsConfig;
  /** Begin of what is not on disk. */
  #startMs = Date.now();
  /** The gauge when all that it says was on disk. */
  #written = 0;
  #failing = false;
  #running: Promise<void> | null = null;
  /** The last task: only one at a time may look at what was written, or change it. */
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: LatencyOptions) {
    this.#options = options;
    this.#histograms = options.histograms;
    this.#gauge = new HistogramsGauge(options.descriptor);
  }

  get left(): LeftLatencies {
    return { lines: this.tally.lines, failures: [...this.tally.failures] };
  }

  /** Counts on from what another program left. */
  adopt({ lines, failures }: LeftLatencies): void {
    this.tally.lines = lines;
    for (const [reason, intervals] of failures) this.tally.failures.set(reason, intervals);
  }

  /** Rotates at every interval until close(). */
  start(): void {
    try {
      boundLogs(logFolder(this.#options.dataDir), this.#histograms.diskBytes);
    } catch (error) {
      this.#fail(error);
    }
    this.configure(this.#histograms);
  }

  configure(histograms: HistogramsConfig): void {
    this.#histograms = histograms;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = setInterval(() => void this.rotate(), histograms.intervalMs);
  }

  /** Writes what was recorded up to now. Resolves when that is on disk, or failed and was counted. */
  async rotate(): Promise<void> {
    await this.#running;
    this.#running ??= this.#rotateOnce().finally(() => {
      this.#running = null;
    });
    await this.#running;
  }

  /** `form` of the histograms that `query` selects, since the start. */
  async answer(form: Form, query: Query): Promise<Answer> {
    const { descriptor, series } = this.#options;
    const selection = select(form, query, series.rows);
    if ("status" in selection) return selection;
    const asked = { ...selection, series: series.rows, beyond: series.beyond, sinceMs: this.#gauge.sinceMs };
    try {
      const text = await this.#runInTurn({ kind: "report", descriptor, report: asked });
      if (typeof text === "string") return { status: 200, text };
      return { status: 404, message: "Nothing was recorded there yet." };
    } catch (error) {
      this.#options.onError(error);
      return { status: 503, message: "The histograms cannot be read now; the log says why." };
    }
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    await this.#running;
    await this.#last;
  }

  async #runInTurn(task: LatencyTask): Promise<LatencyResult> {
    if (this.#waiting >= WAITING_MAX) throw new CodedError("histograms_busy", "too many requests for histograms");
    this.#waiting += 1;
    const result = this.#last.then(() => this.#options.run(task));
    this.#last = result.catch(() => undefined);
    return result.finally(() => {
      this.#waiting -= 1;
    });
  }

  async #rotateOnce(): Promise<void> {
    const { descriptor, dataDir, series } = this.#options;
    const recorded = this.#gauge.recorded();
    const endMs = Math.max(Date.now(), this.#startMs);
    try {
      if (recorded !== this.#written) {
        const { diskBytes } = this.#histograms;
        const place = { folder: logFolder(dataDir), diskBytes, series: series.rows };
        const interval = { ...place, startMs: this.#startMs, endMs };
        this.tally.lines += Number(await this.#runInTurn({ kind: "rotate", descriptor, interval }));
      }
      this.#written = recorded;
      this.#startMs = endMs;
      this.#failing = false;
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Reported once until it works again. */
  #fail(error: unknown): void {
    const reason = reasonOf(error);
    const label = reasonLabel(reason);
    this.tally.failures.set(label, (this.tally.failures.get(label) ?? 0) + 1);
    if (this.#failing) return;
    this.#failing = true;
    this.#options.onError(new CodedError("histograms", `latency histograms wait for the disk: ${reason}`, error));
  }
}
