/**
 * Which histograms a query of the admin port means. Supervisor main thread; pure. A name that there is not is an error that
 * says what there is: an empty answer would look like a gateway without traffic.
 */
import { HDR_SERIES_MAX } from "../../base/limits.ts";
import type { Series } from "../../config/series.ts";
import { METRICS } from "../../shm/histogram-map.ts";

/** What is asked for: all of them, or the selected ones added up to one. */
export const FORMS = ["json", "hgrm", "v2"] as const;
export type Form = (typeof FORMS)[number];

/** As a query string was read: a name that came twice is a list. */
export type Query = Readonly<Record<string, unknown>>;

export interface Selection {
  readonly form: Form;
  /** Numbers, ascending. */
  readonly histograms: readonly number[];
}

export interface Refusal {
  readonly status: 400 | 404;
  readonly message: string;
}

const FILTERS = ["route", "provider", "model", "metric"] as const;
type Filter = (typeof FILTERS)[number];
/** Names listed in a message. */
const NAMES_MAX = HDR_SERIES_MAX;

export function select(form: Form, query: Query, series: readonly Series[]): Selection | Refusal {
  const wrong = parameterFault(query) ?? metricFault(form, query["metric"]);
  if (wrong !== null) return { status: 400, message: wrong };
  const missing = FILTERS.find((filter) => filter !== "metric" && !hasName(filter, query, series));
  if (missing !== undefined) return { status: 404, message: absent(missing, query, series) };
  const histograms = series.flatMap((row, number) =>
    METRICS.flatMap((metric, i) => (matches({ ...row, metric }, query) ? [number * METRICS.length + i] : [])),
  );
  if (histograms.length > 0) return { form, histograms };
  return { status: 404, message: "There is no target with these names together; GET /histograms lists them." };
}

function parameterFault(query: Query): string | null {
  const known: readonly string[] = FILTERS;
  const odd = Object.entries(query).find(([name, value]) => !known.includes(name) || typeof value !== "string");
  return odd === undefined ? null : `The query '${odd[0]}' is not one of ${FILTERS.join(", ")}, each at most once.`;
}

/** Only values of one metric can be added up. */
function metricFault(form: Form, metric: unknown): string | null {
  const known: readonly unknown[] = METRICS;
  if (metric === undefined ? form === "json" : known.includes(metric)) return null;
  return `'metric' must be one of ${METRICS.join(", ")}.`;
}

function matches(names: Readonly<Record<Filter, string>>, query: Query): boolean {
  return FILTERS.every((filter) => query[filter] === undefined || query[filter] === names[filter]);
}

function hasName(filter: Exclude<Filter, "metric">, query: Query, series: readonly Series[]): boolean {
  return query[filter] === undefined || series.some((row) => row[filter] === query[filter]);
}

function absent(filter: Filter, query: Query, series: readonly Series[]): string {
  const names = filter === "metric" ? METRICS : series.map((row) => row[filter]);
  const listed = [...new Set(names)].filter((name) => name !== "").slice(0, NAMES_MAX);
  return `There is no ${filter} '${query[filter]}'. There is ${listed.join(", ")}.`;
}
