/** Reads the CPU profiles that `--profile` made, and sums up where the gateway workers' time went. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROWS = 30;

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
}

interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Options of Node that make every process write a profile into `directory` when it ends. */
export function profileOptions(directory: string): string {
  return `--cpu-prof --cpu-prof-interval=500 --cpu-prof-dir=${directory}`;
}

/** Self time by function over all gateway workers, the most expensive first; idle time is left out. */
export function hotFunctions(directory: string): object[] {
  const names = readdirSync(directory).filter((name) => name.endsWith(".cpuprofile"));
  const profiles = names.map((name): Profile => JSON.parse(readFileSync(join(directory, name), "utf8")));
  const selfUs = new Map<string, number>();
  for (const profile of profiles.filter(isOfWorker)) addSelfTimes(profile, selfUs);
  selfUs.delete("(idle)");
  const total = [...selfUs.values()].reduce((sum, us) => sum + us, 0);
  const sorted = [...selfUs].toSorted(([, a], [, b]) => b - a).slice(0, ROWS);
  return sorted.map(([name, us]) => ({ function: name, self: `${((100 * us) / total).toFixed(1)} %` }));
}

function isOfWorker(profile: Profile): boolean {
  return profile.nodes.some((node) => /gateway\/worker\.[jt]s$/.test(node.callFrame.url));
}

function addSelfTimes(profile: Profile, selfUs: Map<string, number>): void {
  const labels = new Map(profile.nodes.map((node) => [node.id, labelOf(node)]));
  for (const [index, sample] of profile.samples.entries()) {
    const label = labels.get(sample) ?? "?";
    selfUs.set(label, (selfUs.get(label) ?? 0) + (profile.timeDeltas[index] ?? 0));
  }
}

function labelOf({ callFrame: { functionName, url, lineNumber } }: ProfileNode): string {
  const file = url.split("/").slice(-2).join("/");
  const name = functionName === "" ? "(anonymous)" : functionName;
  return file === "" ? name : `${name} ${file}:${lineNumber + 1}`;
}
