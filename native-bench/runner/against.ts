/**
 * A result compared with a former one: latency by the rules of `sluice hdr diff`, and CPU time per request over that of nginx. Only Sluice
 * is judged. The control is nginx, whose code is the same in both and which ran on the same CPUs as Sluice; without it, direct.
 */
import { statSync } from "node:fs";
import { dirname } from "node:path";
import { diffText } from "../../src/cli/hdr-diff-report.ts";
import { COMPARISON_DEFAULTS, compare, controlTag, type TagComparison } from "../../src/telemetry/hdr/comparison.ts";
import { record } from "../../src/telemetry/hdr/input.ts";
import { chanceOfNoise, differenceOf } from "../../src/telemetry/hdr/noise.ts";
import { DIRECT } from "../contestants/direct.ts";
import { SLUICE } from "../contestants/sluice.ts";
import { median } from "../median.ts";
import { type Result, readResult, type ScenarioResult } from "./result.ts";
import { cpuRatios, NGINX } from "./summary.ts";
import { textTable } from "./text-table.ts";

/** Two runs of one commit differ by so much now and then, the more so on shared machines. */
const CPU_CHANGE_MIN = 0.1;
const CONTROLS = [NGINX, DIRECT];
/** Chance that noise alone makes a difference in any scenario. */
const FALSE_ALARMS = 0.01;
/** Of the logarithm of a ratio. */
const DEVIATION_MIN = 0.01;

export interface CpuChange {
  readonly scenario: string;
  /** CPU time per request over nginx: medians. */
  readonly before: number;
  readonly after: number;
  readonly verdict: "same" | "worse" | "better" | "unknown";
}

export interface Comparison {
  readonly text: string;
  readonly isWorse: boolean;
}

/** Both are result folders, or the result.json in them. Throws when they cannot be read or have nothing in common. */
export function compareResults(before: string, after: string): Comparison {
  const [first, second] = [readResult(before), readResult(after)];
  const latency = latencyChanges(before, after);
  const cpu = cpuChanges(first, second);
  const worseLatency = latency.some(({ changes }) => changes.some(({ verdict }) => verdict === "worse"));
  const text = [...differences(first, second), diffText(latency, "ms"), cpuText(cpu)].join("\n\n");
  return { text, isWorse: worseLatency || cpu.some(({ verdict }) => verdict === "worse") };
}

function latencyChanges(before: string, after: string): TagComparison[] {
  const isRead = (tag: string) => [...CONTROLS, SLUICE].includes(contestantOf(tag));
  const [first, second] = [before, after].map((path) => record([folderOf(path)], isRead, warn));
  if (first === undefined || second === undefined) return [];
  const controlOf = (tag: string) =>
    CONTROLS.map((name) => controlTag(tag, name)).find(
      (control) => control !== undefined && first.tracks.has(control) && second.tracks.has(control),
    );
  const changes = compare(first, second, { ...COMPARISON_DEFAULTS, controlOf });
  const own = changes.filter(({ tag }) => contestantOf(tag) === SLUICE);
  if (own.length === 0) throw new Error(`${before} and ${after} have no scenario of Sluice in common`);
  return own;
}

function contestantOf(tag: string): string {
  return tag.split("/")[1] ?? "";
}

function folderOf(path: string): string {
  return statSync(path).isDirectory() ? path : dirname(path);
}

function warn(message: string): void {
  process.stderr.write(`${message}\n`);
}

/** What else differs, and may be the reason. */
function differences(first: Result, second: Result): string[] {
  const named = (result: Result) => ({
    machine: `${result.machine.cores} x ${result.machine.cpu}, Linux ${result.machine.kernel}`,
    workers: result.parameters.workers,
    pinning: result.pinning.reason,
    seconds: result.parameters.seconds,
    burdenUs: result.parameters.burdenUs,
    nginx: result.versions["nginx"],
  });
  const [one, other] = [Object.entries(named(first)), Object.entries(named(second))];
  const changes = one.flatMap(([name, value], place) => {
    const now = other[place]?.[1];
    return value === now ? [] : [`The runs differ in ${name}: ${value}, now ${now}.`];
  });
  const isNoisy = first.calibration.isNoisy || second.calibration.isNoisy;
  const notes = isNoisy ? [...changes, "The machine was noisy: repeat what is found before you believe it."] : changes;
  return notes.length === 0 ? [] : [notes.join("\n")];
}

/** Of scenarios that both have; those whose figures are refused in either are left out. */
export function cpuChanges(first: Result, second: Result): CpuChange[] {
  const pairs = first.scenarios.flatMap((before) => {
    const after = second.scenarios.find(({ name }) => name === before.name);
    const isSound = after !== undefined && before.refused === null && after.refused === null;
    return isSound ? [[before, after] satisfies [ScenarioResult, ScenarioResult]] : [];
  });
  const limit = FALSE_ALARMS / pairs.length;
  return pairs.map(([before, after]) => cpuChange(before, after, limit));
}

function cpuChange(before: ScenarioResult, after: ScenarioResult, limit: number): CpuChange {
  const [first, second] = [before, after].map(({ turns }) => cpuRatios(turns, SLUICE)) as [number[], number[]];
  const figures = { scenario: before.name, before: median(first), after: median(second) };
  const logs = (ratios: readonly number[]) => ratios.map((ratio) => [Math.log(ratio)]);
  if (first.length === 0 || second.length === 0) return { ...figures, verdict: "unknown" };
  const difference = differenceOf(logs(first), logs(second), DEVIATION_MIN ** 2);
  if (difference.freedom === 0) return { ...figures, verdict: "unknown" };
  const isLarge = Math.abs(Math.exp(difference.mean) - 1) >= CPU_CHANGE_MIN;
  if (!isLarge || chanceOfNoise(difference) > limit) return { ...figures, verdict: "same" };
  return { ...figures, verdict: difference.mean > 0 ? "worse" : "better" };
}

const WORDS: Readonly<Record<CpuChange["verdict"], string>> = {
  same: "",
  worse: "WORSE",
  better: "better",
  unknown: "cannot be said: one round, or no nginx",
};

function cpuText(changes: readonly CpuChange[]): string {
  const rows = changes.map(({ scenario, before, after, verdict }) => [
    scenario,
    before.toFixed(2),
    after.toFixed(2),
    WORDS[verdict],
  ]);
  return textTable(["CPU per request over nginx", "before", "now", "beyond noise"], rows);
}
