/** The result of a comparison: the medians over its rounds, as a document and as tables. Pure. */
import { median } from "../median.ts";
import type { Machine } from "./machine.ts";
import type { Load } from "./wrk.ts";

/** One load on one contestant in one round. */
export interface Run {
  readonly scenario: string;
  readonly contestant: string;
  readonly load: Load;
  readonly cpuUsPerRequest: number;
  /** The part of it that the process spent that was started: nginx's master, Sluice's supervisor with its pool. */
  readonly parentCpuUsPerRequest: number;
  /** Halfway through the load. */
  readonly pssBytes: number;
}

export interface Summary {
  readonly scenario: string;
  readonly contestant: string;
  readonly cpuUsPerRequest: number;
  /** The part of it that the process spent that was started: nginx's master, Sluice's supervisor with its pool. */
  readonly parentCpuUsPerRequest: number;
  /** Over that of nginx in the same scenario: the median of the ratios of the rounds. */
  readonly overNginx: number;
  readonly requestsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly pssBytes: number;
  readonly failures: number;
}

export interface Result {
  readonly startedAt: string;
  readonly machine: Machine;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** By contestant: after its start, when it does nothing. */
  readonly restPssBytes: Readonly<Record<string, number>>;
  readonly summaries: readonly Summary[];
  readonly runs: readonly Run[];
}

export function summarize(runs: readonly Run[]): Summary[] {
  const groups = Map.groupBy(runs, (run) => `${run.scenario}\n${run.contestant}`);
  return [...groups.values()].map((group) => summaryOf(group, groups.get(`${group[0]?.scenario}\nnginx`) ?? []));
}

/** `group` and `nginx`: the same rounds in the same order. */
function summaryOf(group: readonly Run[], nginx: readonly Run[]): Summary {
  const middle = (figure: (run: Run) => number) => median(group.map(figure));
  const ratios = group.map((run, round) => run.cpuUsPerRequest / (nginx[round]?.cpuUsPerRequest ?? Number.NaN));
  const { scenario = "", contestant = "" } = group[0] ?? {};
  return {
    scenario,
    contestant,
    cpuUsPerRequest: middle((run) => run.cpuUsPerRequest),
    parentCpuUsPerRequest: middle((run) => run.parentCpuUsPerRequest),
    overNginx: median(ratios),
    requestsPerSecond: middle((run) => run.load.requestsPerSecond),
    p50Us: middle((run) => run.load.p50Us),
    p99Us: middle((run) => run.load.p99Us),
    pssBytes: Math.max(...group.map((run) => run.pssBytes)),
    failures: group.reduce((sum, run) => sum + run.load.failures, 0),
  };
}

/** Rows for console.table. */
export function tableOf(result: Result): object[] {
  return result.summaries.map((summary) => ({
    scenario: summary.scenario,
    contestant: summary.contestant,
    "CPU/request": `${summary.cpuUsPerRequest.toFixed(1)} us`,
    "of it parent": `${summary.parentCpuUsPerRequest.toFixed(1)} us`,
    "over nginx": `${summary.overNginx.toFixed(2)}x`,
    "requests/s": Math.round(summary.requestsPerSecond),
    p50: milliseconds(summary.p50Us),
    p99: milliseconds(summary.p99Us),
    "PSS at rest": megabytes(result.restPssBytes[summary.contestant] ?? 0),
    "PSS under load": megabytes(summary.pssBytes),
    failures: summary.failures,
  }));
}

function milliseconds(us: number): string {
  return `${(us / 1_000).toFixed(1)} ms`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
