/** The memory that workers share with each other, and with those of the program before this one. Supervisor, at start. */
import type { Config } from "../config/schema.ts";
import { SeriesTable } from "../config/series.ts";
import { type BreakersMap, prepareBreakers } from "../shm/breakers.ts";
import { adoptCounters, type CountersReader, createCounters } from "../shm/counters.ts";
import { createHistograms, HISTOGRAMS_VERSION } from "../shm/histogram-map.ts";
import { type LimitsMap, prepareLimits } from "../shm/limits.ts";
import type { Handover } from "./handover.ts";

export interface Memory {
  /** Of the data directory, a descriptor. */
  readonly lock: number;
  readonly counters: CountersReader;
  /** Of the memory file, a descriptor. */
  readonly histograms: number;
  readonly series: SeriesTable;
  readonly limits: LimitsMap;
  readonly breakers: BreakersMap;
}

/** Counts go on, unless their layout is another one now: then they begin anew, and what old workers still count is lost. */
export function openMemory({ dataDir, limits: rules }: Config, lock: number, handover: Handover | null): Memory {
  const former = handover?.histograms;
  const counters = (handover && adoptCounters(dataDir, handover.countersVersion)) ?? createCounters(dataDir);
  const limits = prepareLimits(dataDir);
  limits.configure(rules, 0);
  const breakers = prepareBreakers(dataDir, handover !== null);
  if (former?.version === HISTOGRAMS_VERSION)
    return { lock, counters, limits, breakers, histograms: former.descriptor, series: new SeriesTable(former.series) };
  return { lock, counters, limits, breakers, histograms: createHistograms(), series: new SeriesTable() };
}
