/** What the admin server shows of the supervisor: readiness, metrics, histograms, version. Supervisor main thread. */
import type { AdminSource, Readiness } from "../control/admin.ts";
import type { Answer, LatencyRotation } from "../telemetry/latency/rotation.ts";
import type { Form, Query } from "../telemetry/latency/selection.ts";
import type { Metrics } from "../telemetry/metrics.ts";

export class Status implements AdminSource {
  readonly version: string;
  /** starting: until all workers serve; stopping: from the first signal on. */
  phase: "starting" | "running" | "stopping" = "starting";
  readonly #metrics: Metrics;
  readonly #latencies: LatencyRotation;
  #serving = 0;
  /** Of the earlier generation. */
  #formerServing = 0;

  constructor(version: string, metrics: Metrics, latencies: LatencyRotation) {
    this.version = version;
    this.#metrics = metrics;
    this.#latencies = latencies;
  }

  setServing(workers: number): void {
    this.#serving = workers;
    this.#metrics.setWorkersUp(workers);
  }

  setFormerServing(workers: number): void {
    this.#formerServing = workers;
  }

  /** A configuration took effect now. */
  setEpoch(epoch: number): void {
    this.#metrics.setConfig(epoch, Date.now() / 1000);
  }

  readiness(): Readiness {
    if (this.phase === "starting" && this.#formerServing > 0)
      return { ready: true, reason: `${this.#formerServing} workers of the earlier generation serve` };
    if (this.phase !== "running") return { ready: false, reason: this.phase };
    if (this.#serving === 0) return { ready: false, reason: "no worker serves" };
    return { ready: true, reason: `${this.#serving} workers serve` };
  }

  metrics(): Promise<string> {
    return this.#metrics.render();
  }

  metricsType(): string {
    return this.#metrics.contentType;
  }

  histograms(form: Form, query: Query): Promise<Answer> {
    return this.#latencies.answer(form, query);
  }
}
