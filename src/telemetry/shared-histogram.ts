/**
 * A Prometheus histogram whose observations were counted in shared memory: it shows them, and observes nothing itself.
 * Supervisor main thread, at each scrape.
 */
import { Histogram } from "prom-client";
import { BUCKET_EXPONENT_FIRST, BUCKETS } from "../shm/layout.ts";

const US_PER_S = 1e6;

interface Sample {
  readonly metricName: string;
  readonly labels: Record<string, string>;
  readonly value: number;
}

/** Buckets as in layout.ts, not cumulated, and the sum of the durations in microseconds. */
export type HistogramSource = () => { readonly buckets: Float64Array; readonly sumUs: number };

/** The buckets that have a line of their own, both included; what is below is in the first one, what is above in +Inf only. */
export interface ShownBuckets {
  readonly first: number;
  readonly last: number;
}

const ALL: ShownBuckets = { first: 0, last: BUCKETS - 2 };

export class SharedHistogram extends Histogram {
  readonly #name: string;
  readonly #help: string;
  readonly #source: HistogramSource;
  readonly #shown: ShownBuckets;

  constructor(name: string, help: string, source: HistogramSource, shown = ALL) {
    super({ name, help, registers: [] });
    this.#name = name;
    this.#help = help;
    this.#source = source;
    this.#shown = shown;
  }

  /** What prom-client 15 asks a histogram for, by this name, when it writes text; its get() calls it too. */
  async getForPromString(): Promise<{
    name: string;
    help: string;
    type: string;
    aggregator: string;
    values: Sample[];
  }> {
    return { name: this.#name, help: this.#help, type: "histogram", aggregator: "sum", values: this.#samples() };
  }

  #samples(): Sample[] {
    const { buckets, sumUs } = this.#source();
    const samples: Sample[] = [];
    let count = 0;
    for (let i = 0; i < BUCKETS; i += 1) {
      count += buckets[i] ?? 0;
      const isShown = (i >= this.#shown.first && i <= this.#shown.last) || i === BUCKETS - 1;
      if (isShown) samples.push({ metricName: `${this.#name}_bucket`, labels: { le: bucketBound(i) }, value: count });
    }
    samples.push({ metricName: `${this.#name}_sum`, labels: {}, value: sumUs / US_PER_S });
    samples.push({ metricName: `${this.#name}_count`, labels: {}, value: count });
    return samples;
  }
}

function bucketBound(i: number): string {
  return i === BUCKETS - 1 ? "+Inf" : String(2 ** (i + BUCKET_EXPONENT_FIRST) / US_PER_S);
}
