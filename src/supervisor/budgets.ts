/**
 * Budgets beyond single requests: what the store says is used of them, and how much that is for metrics. Supervisor main thread.
 * The map of limits is the truth while it is there; what it lacks of the store's sums is added to it before workers count, so
 * that a budget that is new, or a map that is, begins with what was used.
 */
import { periodAt } from "../base/calendar.ts";
import type { LimitPart, LimitRule } from "../base/limit-terms.ts";
import { BUDGET_SERIES_MAX } from "../base/limits.ts";
import type { Config } from "../config/schema.ts";
import type { LimitsMap } from "../shm/limits.ts";
import type { BudgetStanding } from "../telemetry/budget-metrics.ts";
import type { BudgetTask, UsedSums } from "../telemetry/sinks/budget-query.ts";

/** What the store cannot tell apart. */
const UNKNOWN: ReadonlySet<LimitPart> = new Set(["user", "address"]);

type Names = ReadonlyMap<LimitPart, string>;

export class Budgets {
  readonly #map: LimitsMap;
  #config: Config;

  constructor(map: LimitsMap, config: Config) {
    this.#map = map;
    this.#config = config;
  }

  get #rules(): readonly LimitRule[] {
    return this.#config.limits.filter(({ calendar }) => calendar !== null);
  }

  /** From now on; what is used of them comes with adopt(). */
  configure(config: Config): void {
    this.#config = config;
    this.#map.configure(config.limits, 0);
  }

  /** Adds what the store has beyond the map. `query`: the store's sums. */
  async adopt(query: (task: BudgetTask) => Promise<readonly UsedSums[]>): Promise<void> {
    const { dataDir } = this.#config;
    const nowMs = this.#map.nowMs();
    for (const rule of this.#rules) {
      if (rule.calendar === null || rule.scope.some((part) => UNKNOWN.has(part))) continue;
      const sinceS = periodAt(rule.calendar, nowMs)?.startS ?? 0;
      this.#raise(rule, await query({ dataDir, sinceS }));
    }
  }

  #raise(rule: LimitRule, all: readonly UsedSums[]): void {
    const used = new Map<string, { names: Names; amount: number }>();
    for (const sums of all) {
      const names = this.#namesOf(rule, sums);
      if (names === null) continue;
      const place = JSON.stringify([...names.values()]);
      const amount = (used.get(place)?.amount ?? 0) + amountOf(rule, sums);
      used.set(place, { names, amount });
    }
    for (const { names, amount } of used.values()) this.#map.raise(rule, names, amount);
  }

  /** Whom a budget counts these sums for; null: for nobody. */
  #namesOf({ scope, keys, models }: LimitRule, { key, model, provider, upstreamModel }: UsedSums): Names | null {
    const route = Object.hasOwn(this.#config.models, model) ? model : "*";
    if (keys?.includes(key) === false || models?.includes(route) === false) return null;
    const team = this.#config.keys.find(({ name }) => name === key)?.team ?? "";
    const target = `${provider}/${upstreamModel === "" ? model : upstreamModel}`;
    // Which of several routes it was is not in the store.
    const sole = this.#config.models[route]?.routes === undefined ? route : "";
    const all: Readonly<Partial<Record<LimitPart, string>>> = { key, team, model, route: sole, target, provider };
    const names = scope.map((part) => [part, all[part] ?? ""] as const);
    return names.some(([, name]) => name === "") ? null : new Map(names);
  }

  /** Of budgets of all together, or of one part of the configuration each, in the period that runs. */
  standings(): BudgetStanding[] {
    return this.#rules.flatMap((rule) =>
      this.#subjectsOf(rule).flatMap((names) => {
        const spent = this.#map.spent(rule, names);
        const subject = [...names.values()].join("");
        return spent === null ? [] : [{ rule, subject, used: spent.used, settled: spent.settled }];
      }),
    );
  }

  #subjectsOf({ scope, keys, models }: LimitRule): readonly Names[] {
    const [part, ...others] = scope;
    if (part === undefined) return [new Map()];
    if (others.length > 0) return [];
    const config = this.#config;
    const all: Readonly<Partial<Record<LimitPart, readonly string[]>>> = {
      key: keys ?? config.keys.map(({ name }) => name),
      team: [...new Set(config.keys.flatMap(({ team }) => (team === null ? [] : [team])))],
      model: models ?? Object.keys(config.models).filter((alias) => alias !== "*"),
      route: models ?? Object.keys(config.models),
      provider: Object.keys(config.providers),
    };
    return (all[part] ?? []).slice(0, BUDGET_SERIES_MAX).map((name) => new Map([[part, name]]));
  }
}

function amountOf({ quantity }: LimitRule, { inputTokens, outputTokens, costNanodollars }: UsedSums): number {
  if (quantity === "cost") return costNanodollars;
  if (quantity === "input_tokens") return inputTokens;
  return quantity === "output_tokens" ? outputTokens : inputTokens + outputTokens;
}
