/**
 * A flame graph of Sluice under the load of one scenario, with script, native and kernel frames: starts the mock provider and Sluice,
 * profiles worker and supervisor in the measured window, and writes one HTML file. Runner process only. What must hold: all
 * that is started ends, and nothing is left behind but the page. With perf where it works, else with V8's own sampler.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LoadSummary } from "../runner/load.ts";
import { commit, machine } from "../runner/machine.ts";
import type { Scenario } from "../runner/scenario.ts";
import { graphsOf } from "./graphs.ts";
import { flamePage } from "./page.ts";
import { Perf } from "./perf.ts";
import type { Profiler } from "./profiler.ts";
import { Subject, type WatchedLoad } from "./subject.ts";
import { V8Prof } from "./v8-prof.ts";

export interface FlameOptions extends WatchedLoad {
  /** The page to write. */
  readonly file: string;
}

export async function flame({ file, ...load }: FlameOptions): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "sluice-flame-"));
  const profiler = Perf.works(directory) ? new Perf(directory) : new V8Prof(directory);
  try {
    const { processes, summary } = await new Subject(profiler, directory).watch(load);
    const graphs = graphsOf(profiler.samples(), processes);
    writeFileSync(file, flamePage({ graphs, notes: notesOf(load.scenario, summary, profiler) }));
  } finally {
    profiler.clean();
    rmSync(directory, { recursive: true, force: true });
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
