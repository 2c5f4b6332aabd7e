/**
 * Which latency histograms a route has: a number for each route with its target, given by the supervisor and never given
 * again, because counts under a number go on over reloads. Supervisor main thread; workers get the numbers in `Config.series`.
 */
import { HDR_SERIES_MAX } from "../base/limits.ts";
import { allTargets } from "./chains.ts";
import type { ModelConfig } from "./model.ts";
import type { Config } from "./schema.ts";

/** Of routes for which no number was left. */
export const SERIES_OTHER = 0;
/** Of requests that were answered before they had a target. */
export const SERIES_UNROUTED = 1;

/** Alias of requests that name no model, in `Config.series`. */
export const NO_ALIAS = "";

/** The section `histograms` of the file. */
export interface HistogramsConfig {
  /** How often what was counted is written to disk. */
  readonly intervalMs: number;
  /** What is kept there. */
  readonly diskBytes: number;
}

export interface Series {
  /** The alias; what is none begins with "~", and an alias that does has one more. */
  readonly route: string;
  /** "": there is no target, or there are several. */
  readonly provider: string;
  /** Model name upstream; "*": the client's. */
  readonly model: string;
}

export class SeriesTable {
  /** By number. */
  readonly rows: Series[] = [
    { route: "~other", provider: "", model: "*" },
    { route: "~unrouted", provider: "", model: "*" },
  ];
  /** Routes of the last configuration that are counted as SERIES_OTHER. */
  beyond = 0;
  readonly #numbers = new Map<string, number>();

  /** `former`: rows of a program whose counts go on. */
  constructor(former: readonly Series[] = []) {
    for (const row of former.slice(this.rows.length)) this.#numberOf(row);
  }

  /** The configuration with `series` filled in. */
  numbered(config: Config): Config {
    const series = new Map(seriesOf(config).map(([key, row]) => [key, this.#numberOf(row)]));
    this.beyond = [...series.values()].filter((number) => number === SERIES_OTHER).length;
    return { ...config, series };
  }

  #numberOf(row: Series): number {
    const name = JSON.stringify([row.route, row.provider, row.model]);
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    if (this.rows.length >= HDR_SERIES_MAX) return SERIES_OTHER;
    const number = this.rows.push(row) - 1;
    this.#numbers.set(name, number);
    return number;
  }
}

/** In `Config.series`, of a target by its route and its place in the file; that of a model's first one is the alias. */
export function seriesKey(route: string, place: number): string {
  return place === 0 ? route : `${route}\n${place}`;
}

/** Of a route with conditions. */
export function routeName(alias: string, name: string): string {
  return `${alias}/${name}`;
}

function rowsOf(route: string, model: ModelConfig): [key: string, row: Series][] {
  return allTargets(model).map(({ provider, model }, place) => [
    seriesKey(route, place),
    { route: route.startsWith("~") ? `~${route}` : route, provider, model: model ?? "*" },
  ]);
}

function seriesOf({ models, passthrough }: Config): [key: string, row: Series][] {
  const routes = Object.entries(models).flatMap(([alias, model]) => [
    ...rowsOf(alias, model),
    ...(model.routes ?? []).flatMap(({ name, to }) => rowsOf(routeName(alias, name), to)),
  ]);
  if (passthrough === null) return routes;
  return [...routes, [NO_ALIAS, { route: "~passthrough", provider: passthrough, model: "*" }]];
}
