/** /metrics of budgets: what is used of them, and what they refused. Supervisor main thread; read at the scrape. */
import type { LimitRule } from "../base/limit-terms.ts";
import type { LimitsMap, LimitTally } from "../shm/limits.ts";
import type { Family, Sample } from "./metrics.ts";

/** What is used of a budget, by one whom it counts apart. */
export interface BudgetStanding {
  readonly rule: LimitRule;
  /** Its name; empty: the budget is of all together. */
  readonly subject: string;
  /** With what is reserved. */
  readonly used: number;
  readonly settled: number;
}

const NANO_PER_DOLLAR = 1_000_000_000;

/** Money is in dollars. */
function unitOf({ quantity }: LimitRule): { readonly unit: string; readonly size: number } {
  return quantity === "cost" ? { unit: "usd", size: NANO_PER_DOLLAR } : { unit: quantity, size: 1 };
}

const BUDGET_COUNTS: readonly [name: string, count: (tally: LimitTally) => number, help: string][] = [
  ["sluice_budget_rejections_total", ({ rejected }) => rejected, "Requests that a budget refused."],
  ["sluice_budget_observed_total", ({ observed }) => observed, "Requests that an observing budget would have refused."],
  [
    "sluice_budget_unplaced_total",
    ({ unplaced }) => unplaced,
    "Requests for whose count in a budget there was no room.",
  ],
  ["sluice_budget_alerts_total", ({ alerts }) => alerts, "Thresholds of budgets that were reached."],
];

/** Since the map of limits was made. */
export function budgetCounters(limits: Pick<LimitsMap, "tallies">): Family[] {
  return BUDGET_COUNTS.map(([name, count, help]) => ({
    name,
    help,
    labelNames: ["budget", "unit"],
    samples: () =>
      limits
        .tallies()
        .filter(({ rule }) => rule.calendar !== null)
        .map((tally): Sample => [{ budget: tally.rule.name, unit: unitOf(tally.rule).unit }, count(tally)]),
  }));
}

const BUDGET_GAUGES: readonly [name: string, value: (standing: BudgetStanding) => number, help: string][] = [
  ["sluice_budget_limit", ({ rule }) => rule.limit, "What a budget has for one period."],
  ["sluice_budget_used", ({ settled }) => settled, "What requests that are over used of it in this period."],
  ["sluice_budget_reserved", ({ used, settled }) => used - settled, "What requests that run may use of it."],
];

export function budgetGauges(budgets: { standings(): readonly BudgetStanding[] }): Family[] {
  return BUDGET_GAUGES.map(([name, value, help]) => ({
    name,
    help,
    labelNames: ["budget", "unit", "subject"],
    samples: () =>
      budgets.standings().map((standing): Sample => {
        const { unit, size } = unitOf(standing.rule);
        return [{ budget: standing.rule.name, unit, subject: standing.subject }, value(standing) / size];
      }),
  }));
}
