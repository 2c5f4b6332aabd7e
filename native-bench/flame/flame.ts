/**
 * A flame graph of Sluice under the load of one scenario, with script, native and kernel frames: starts the mock provider and Sluice,
 * profiles worker and supervisor in the measured window, and writes one HTML file. Runner process only. What must hold: all
 * that is started ends, and nothing is left behind but the page. With perf where it works, else with V8's own sampler.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Direct } from "../contestants/direct.ts";
import { Sluice } from "../contestants/sluice.ts";
import { type LoadReport, type LoadSummary, runLoad } from "../runner/load.ts";
import { commit, machine } from "../runner/machine.ts";
import { Mock } from "../runner/mock.ts";
import { withDescendants } from "../runner/processes.ts";
import type { Scenario } from "../runner/scenario.ts";
import { specificationOf } from "../runner/specification.ts";
import { graphsOf, type Processes } from "./graphs.ts";
import { flamePage } from "./page.ts";
import { Perf } from "./perf.ts";
import { type Profiler, runtimeWith } from "./profiler.ts";
import { V8Prof } from "./v8-prof.ts";

const WORKERS = 1;

export interface FlameOptions {
  readonly scenario: Scenario;
  /** Until the functions that count are compiled. */
  readonly warmUpSeconds: number;
  readonly seconds: number;
  /** The page to write. */
  readonly file: string;
  readonly signal: AbortSignal;
}

export async function flame({ file, ...load }: FlameOptions): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "sluice-flame-"));
  const profiler = Perf.works(directory) ? new Perf(directory) : new V8Prof(directory);
  try {
    const { processes, summary } = await new Subject(profiler, directory).profile(load);
    const graphs = graphsOf(profiler.samples(), processes);
    writeFileSync(file, flamePage({ graphs, notes: notesOf(load.scenario, summary, profiler) }));
  } finally {
    profiler.clean();
    rmSync(directory, { recursive: true, force: true });
  }
}

type Load = Omit<FlameOptions, "file">;

/** Sluice with its provider. */
class Subject {
  readonly #profiler: Profiler;
  readonly #directory: string;
  readonly #mock = new Mock(null);
  readonly #sluice: Sluice;

  constructor(profiler: Profiler, directory: string) {
    this.#profiler = profiler;
    this.#directory = directory;
    this.#sluice = new Sluice(runtimeWith(profiler.flags, directory));
  }

  /** Once everything has ended: only then a profiler has written everything. */
  async profile(load: Load): Promise<{ processes: Processes; summary: LoadSummary }> {
    try {
      const secureMock = await this.#mock.reserve([load.scenario]);
      await this.#mock.restart(load.scenario);
      const mockPort = this.#mock.port;
      await this.#sluice.start({ directory: this.#directory, mockPort, secureMock, workers: WORKERS });
      const [supervisor = 0, ...workers] = withDescendants(this.#sluice.pids());
      const { summary } = await this.#load(load, [supervisor, ...workers]);
      return { processes: { supervisor, workers }, summary };
    } finally {
      await this.#sluice.stop();
      await this.#mock.stop();
    }
  }

  async #load({ scenario, signal, ...times }: Load, pids: readonly number[]): Promise<LoadReport> {
    const direct = new Direct(this.#mock).endpoint;
    const site = { directory: this.#directory, cpus: null, signal };
    const specification = await specificationOf(scenario, this.#sluice, { ...site, ...times, direct });
    try {
      return await runLoad(specification, site, () => this.#profiler.begin(pids));
    } finally {
      await this.#profiler.end();
    }
  }
}

function notesOf(
  { title }: Scenario,
  { requests, right, requestsPerSecond }: LoadSummary,
  { name }: Profiler,
): string[] {
  const { cpu, cores, kernel, node } = machine();
  return [
    `Sluice ${commit()}, ${title}: ${Math.round(requestsPerSecond)} requests per second under the profiler, ${requests - right} wrong.`,
    `${cores} x ${cpu}, Linux ${kernel}, Node ${node}. Sampled with ${name}.`,
  ];
}
