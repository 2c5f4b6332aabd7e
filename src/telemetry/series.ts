/**
 * Sums per model and provider since the gateway started, for /metrics. Supervisor main thread; fed with the sums of each
 * drained batch. Bounded: label sets after the first METRIC_SERIES_MAX are counted under "other".
 */
import { METRIC_SERIES_MAX } from "../base/limits.ts";
import { STATUS_CLASSES } from "../shm/layout.ts";
import type { RollupRow } from "./rollup.ts";

const OTHER = "other";

export interface SeriesRow {
  readonly model: string;
  readonly provider: string;
  /** Requests by status class, in the order of STATUS_CLASSES. */
  readonly requests: number[];
  inputTokens: number;
  cachedTokens: number;
  outputTokens: number;
  reasoningTokens: number;
  costNanodollars: number;
}

export class Series {
  readonly #rows = new Map<string, SeriesRow>();

  add(rollup: readonly RollupRow[]): void {
    for (const sums of rollup) {
      if (sums.kind === "shadow") continue;
      const row = this.#rowFor(sums.model, sums.provider);
      const statusClass = STATUS_CLASSES.indexOf(sums.statusClass);
      row.requests[statusClass] = (row.requests[statusClass] ?? 0) + sums.requests;
      addTokens(row, sums);
    }
  }

  /** Sums of the program before this one. */
  adopt(rows: readonly SeriesRow[]): void {
    for (const row of rows) {
      const own = this.#rowFor(row.model, row.provider);
      row.requests.forEach((count, i) => {
        own.requests[i] = (own.requests[i] ?? 0) + count;
      });
      addTokens(own, row);
    }
  }

  rows(): Iterable<SeriesRow> {
    return this.#rows.values();
  }

  #rowFor(model: string, provider: string): SeriesRow {
    const identity = `${model}\0${provider}`;
    const found = this.#rows.get(identity);
    if (found !== undefined) return found;
    // One place is kept for "other" itself.
    const isOther = model === OTHER && provider === OTHER;
    if (this.#rows.size >= METRIC_SERIES_MAX - 1 && !isOther) return this.#rowFor(OTHER, OTHER);
    const row = emptyRow(model, provider);
    this.#rows.set(identity, row);
    return row;
  }
}

type TokenSums = Pick<
  SeriesRow,
  "inputTokens" | "cachedTokens" | "outputTokens" | "reasoningTokens" | "costNanodollars"
>;

function addTokens(row: TokenSums, more: TokenSums): void {
  row.inputTokens += more.inputTokens;
  row.cachedTokens += more.cachedTokens;
  row.outputTokens += more.outputTokens;
  row.reasoningTokens += more.reasoningTokens;
  row.costNanodollars += more.costNanodollars;
}

function emptyRow(model: string, provider: string): SeriesRow {
  const requests = STATUS_CLASSES.map(() => 0);
  return {
    model,
    provider,
    requests,
    inputTokens: 0,
    cachedTokens: 0,
    outputTokens: 0,
    reasoningTokens: 0,
    costNanodollars: 0,
  };
}
