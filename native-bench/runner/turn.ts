/**
 * One turn: one load on one contestant, measured. What must hold: CPU time counts from the beginning of the measured window until all
 * work for its requests is done, recording included; memory is read right behind it, while the clients are connected; a turn whose contestant did not account for every request is void.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Contestant } from "../contestant.ts";
import { histogramOf } from "./intervals.ts";
import { type Interval, type LoadReport, type LoadSite, type LoadSpec, runLoad } from "./load.ts";
import { percentilesOf } from "./percentiles.ts";
import { type CpuTime, cpuTime, pssBytes } from "./processes.ts";
import type { Turn } from "./result.ts";

/** A contestant is idle when it took at most a clock tick of CPU time in so long. */
const IDLE_CHECK_MS = 250;
const IDLE_CPU_US_MAX = 10_000;
/** For a look at the contestant's memory, while all clients are connected. */
const HOLD_MS = 5_000;
/** For those that are never idle. */
const IDLE_DEADLINE_MS = 3_000;

export interface TurnSite {
  readonly contestant: Contestant;
  readonly scenario: string;
  readonly round: number;
  readonly spec: LoadSpec;
  readonly site: LoadSite;
}

/** A turn and its latency, interval by interval. */
export interface Measured {
  readonly turn: Turn;
  readonly intervals: readonly Interval[];
}

export async function measure({ contestant, scenario, round, spec, site }: TurnSite): Promise<Measured> {
  const pids = contestant.pids();
  await contestant.begin?.();
  let before: CpuTime = cpuTime(pids);
  let memoryBytes = 0;
  const report = await runLoad({ ...spec, holdMs: HOLD_MS }, site, {
    onWindow: () => {
      before = cpuTime(pids);
    },
    whileHeld: () => {
      memoryBytes = pssBytes(pids);
    },
  });
  const idle = await cpuTimeOnceIdle(pids);
  const { voided, isLate } = await settle(contestant, report);
  const after = isLate ? cpuTime(pids) : idle;
  const cpuUs = { allUs: after.allUs - before.allUs, ownUs: after.ownUs - before.ownUs };
  return {
    turn: {
      contestant: contestant.name,
      scenario,
      round,
      voided,
      pssBytes: memoryBytes,
      ...figures(report, cpuUs),
    },
    intervals: report.intervals,
  };
}

/** Asking whether all work is done costs CPU time in some contestants; looking from the outside does not. */
async function cpuTimeOnceIdle(pids: readonly number[]): Promise<CpuTime> {
  const end = performance.now() + IDLE_DEADLINE_MS;
  for (let last = cpuTime(pids); ; ) {
    await delay(IDLE_CHECK_MS);
    const now = cpuTime(pids);
    if (now.allUs - last.allUs <= IDLE_CPU_US_MAX || performance.now() > end) return now;
    last = now;
  }
}

/** `voided`: null, or why the turn says nothing. `isLate`: the contestant still had work to do. */
async function settle(
  contestant: Contestant,
  { summary }: LoadReport,
): Promise<{ voided: string | null; isLate: boolean }> {
  try {
    const isLate = (await contestant.settle?.(summary.begun)) ?? false;
    return { voided: summary.right + summary.aborted === 0 ? "no request was answered" : null, isLate };
  } catch (error) {
    return { voided: error instanceof Error ? error.message : String(error), isLate: false };
  }
}

function figures(
  { summary, intervals }: LoadReport,
  cpu: CpuTime,
): Omit<Turn, "contestant" | "scenario" | "round" | "voided" | "pssBytes"> {
  const { requests } = summary;
  const generatorUs = summary.cpuUserUs + summary.cpuSystemUs;
  return {
    load: summary,
    latency: Object.fromEntries(metricsOf(intervals).flatMap((metric) => latencyOf(metric, intervals))),
    cpuUsPerRequest: cpu.allUs / requests,
    parentCpuUsPerRequest: cpu.ownUs / requests,
    cpuUsPerEvent: summary.events === 0 ? null : cpu.allUs / summary.events,
    generatorCpuUsPerRequest: generatorUs / requests,
  };
}

/** In the order in which the generator has them. */
export function metricsOf(intervals: readonly Interval[]): string[] {
  return [...new Set(intervals.map(({ metric }) => metric))];
}

function latencyOf(metric: string, intervals: readonly Interval[]): [string, Turn["latency"][string]][] {
  const histogram = histogramOf(intervals.filter((interval) => interval.metric === metric));
  return histogram.totalCount === 0 ? [] : [[metric, { count: histogram.totalCount, ...percentilesOf(histogram) }]];
}
