/** The memory that workers share with each other, and with those of the program before this one. Supervisor, at start. */
import type { Config } from "../config/schema.ts";
import { SeriesTable } from "../config/series.ts";
import { prepareArms } from "../shm/arms.ts";
import { type BreakersMap, prepareBreakers } from "../shm/breakers.ts";
import { adoptCounters, type CountersReader, createCounters } from "../shm/counters.ts";
import { createHistograms, HISTOGRAMS_VERSION } from "../shm/histogram-map.ts";
import { type InFlightMap, prepareInFlight } from "../shm/in-flight.ts";
import { type LimitsMap, prepareLimits } from "../shm/limits.ts";
import { unheldSlots } from "../shm/ring-file.ts";
import { prepareRoutes } from "../shm/routes.ts";
import { prepareTargets } from "../shm/targets.ts";
import { Budgets } from "./budgets.ts";
import { Canaries } from "./canaries.ts";
import type { Handover } from "./handover.ts";

export interface Memory {
  /** Of the data directory, a descriptor. */
  readonly lock: number;
  readonly counters: CountersReader;
  /** Of the memory file, a descriptor. */
  readonly histograms: number;
  readonly series: SeriesTable;
  readonly limits: LimitsMap;
  readonly budgets: Budgets;
  readonly breakers: BreakersMap;
  readonly inFlight: InFlightMap;
  readonly arms: Canaries;
}

/** Counts go on, unless their layout is another one now: then they begin anew, and what old workers still count is lost. */
export function openMemory(config: Config, lock: number, handover: Handover | null): Memory {
  const { dataDir } = config;
  const former = handover?.histograms;
  const counters = (handover && adoptCounters(dataDir, handover.countersVersion)) ?? createCounters(dataDir);
  const limits = prepareLimits(dataDir);
  // Their workers were killed together with the supervisor that would have noticed.
  for (const slot of unheldSlots(dataDir)) limits.leaveSlot(slot, null);
  const budgets = new Budgets(limits, config);
  budgets.configure(config);
  const breakers = prepareBreakers(dataDir, handover !== null);
  prepareTargets(dataDir, handover !== null);
  prepareRoutes(dataDir, handover !== null);
  const inFlight = prepareInFlight(dataDir, handover !== null);
  const arms = new Canaries(prepareArms(dataDir));
  const shared = { lock, counters, limits, budgets, breakers, inFlight, arms };
  if (former?.version === HISTOGRAMS_VERSION)
    return { ...shared, histograms: former.descriptor, series: new SeriesTable(former.series) };
  return { ...shared, histograms: createHistograms(), series: new SeriesTable() };
}

/** The configuration with the numbers of what workers share. */
export function numbered({ series, arms }: Memory, config: Config): Config {
  return arms.numbered(series.numbered(config));
}
