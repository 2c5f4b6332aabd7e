/**
 * Sluice with one worker under the load of one scenario, watched from inside or outside while requests are measured: what a flame graph and
 * a list of allocations need. Runner process only. What must hold: all that is started ends.
 */
import { Direct } from "../contestants/direct.ts";
import { Sluice } from "../contestants/sluice.ts";
import { type LoadReport, type LoadSummary, runLoad } from "../runner/load.ts";
import { Mock } from "../runner/mock.ts";
import { withDescendants } from "../runner/processes.ts";
import type { Scenario } from "../runner/scenario.ts";
import { specificationOf } from "../runner/specification.ts";
import type { Processes } from "./graphs.ts";
import { runtimeWith } from "./profiler.ts";

const WORKERS = 1;

/** What is watched, between two moments. */
export interface Watch {
  /** Of every Node process of the gateway. */
  readonly flags: readonly string[];
  /** From now on. */
  begin(processes: Processes): void;
  /** Until now; once more does nothing. */
  end(): Promise<void>;
}

export interface WatchedLoad {
  readonly scenario: Scenario;
  /** Until the functions that count are compiled. */
  readonly warmUpSeconds: number;
  readonly seconds: number;
  readonly signal: AbortSignal;
}

/** Sluice with its provider. */
export class Subject {
  readonly #watch: Watch;
  readonly #directory: string;
  readonly #mock = new Mock(null);
  readonly #sluice: Sluice;

  constructor(watch: Watch, directory: string) {
    this.#watch = watch;
    this.#directory = directory;
    this.#sluice = new Sluice(runtimeWith(watch.flags, directory));
  }

  /** Once everything has ended: only then a profiler has written everything. */
  async watch(load: WatchedLoad): Promise<{ processes: Processes; summary: LoadSummary }> {
    try {
      const secureMock = await this.#mock.reserve([load.scenario]);
      await this.#mock.restart(load.scenario);
      const mockPort = this.#mock.port;
      await this.#sluice.start({ directory: this.#directory, mockPort, secureMock, workers: WORKERS });
      const [supervisor = 0, ...workers] = withDescendants(this.#sluice.pids());
      const processes = { supervisor, workers };
      const { summary } = await this.#load(load, processes);
      return { processes, summary };
    } finally {
      await this.#sluice.stop();
      await this.#mock.stop();
    }
  }

  async #load({ scenario, signal, ...times }: WatchedLoad, processes: Processes): Promise<LoadReport> {
    const direct = new Direct(this.#mock).endpoint;
    const site = { directory: this.#directory, cpus: null, signal };
    const specification = await specificationOf(scenario, this.#sluice, { ...site, ...times, direct });
    try {
      return await runLoad(specification, site, { onWindow: () => this.#watch.begin(processes) });
    } finally {
      await this.#watch.end();
    }
  }
}
