/** Metrics of arms: of split and of canary. Supervisor main thread; read at the scrape. */
import { METRIC_SERIES_MAX } from "../base/limits.ts";
import type { Family, Sample } from "./metrics.ts";

/** What workers counted in an arm. */
export interface ArmStanding {
  readonly model: string;
  /** The model's name, or MODEL/ROUTE where a route with conditions has arms. */
  readonly route: string;
  readonly arm: string;
  /** It is a canary's own. */
  readonly canary: boolean;
  readonly requests: number;
  /** Of a canary and its stable side: those that were compared. */
  readonly judged: number;
  readonly failed: number;
  readonly rolledBack: boolean;
}

export interface Arms {
  standings(): readonly ArmStanding[];
}

const COUNTS: readonly [name: string, count: (standing: ArmStanding) => number, help: string][] = [
  ["sluice_arm_requests_total", ({ requests }) => requests, "Requests of a model by the arm that they went to."],
  [
    "sluice_arm_judged_total",
    ({ judged }) => judged,
    "Requests that say how an arm goes, where a canary is compared with its stable side.",
  ],
  ["sluice_arm_failed_total", ({ failed }) => failed, "Those of them whose first try failed."],
];

/** Since the map of arms was made, which may be before this start; beyond METRIC_SERIES_MAX they are not shown. */
export function armCounters(arms: Arms): Family[] {
  return COUNTS.map(([name, count, help]) => ({
    name,
    help,
    labelNames: ["model", "route", "arm"],
    samples: () =>
      shown(arms).map((standing): Sample => {
        const { model, route, arm } = standing;
        return [{ model, route, arm }, count(standing)];
      }),
  }));
}

export function canaryGauge(arms: Arms): Family {
  return {
    name: "sluice_canary_rolled_back",
    help: "1 while a canary gets no requests because it was worse than its stable side.",
    labelNames: ["model", "route"],
    samples: () =>
      shown(arms)
        .filter(({ canary }) => canary)
        .map(({ model, route, rolledBack }): Sample => [{ model, route }, rolledBack ? 1 : 0]),
  };
}

function shown(arms: Arms): readonly ArmStanding[] {
  return arms.standings().slice(0, METRIC_SERIES_MAX);
}
