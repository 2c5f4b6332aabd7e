/**
 * /metrics: Prometheus text from the shared counters of all workers, the sums of the drained records, and what the
 * supervisor says about itself. Supervisor main thread; everything is read at the scrape. Label sets are bounded: status
 * classes, error codes, endpoints, refusals and token kinds by tables, models and providers by METRIC_SERIES_MAX.
 */
import { Counter, Gauge, Registry } from "prom-client";
import { ERROR_NUMBERS, errorByNumber } from "../base/errors.ts";
import { REFUSALS } from "../base/refusals.ts";
import { type CountersReader, histogramOf } from "../shm/counters.ts";
import {
  COUNTER,
  FALLBACKS,
  GAUGE_SHEDDING,
  GAUGE_WAITING,
  type HistogramName,
  REFUSAL_0,
  RETRIES,
  SHED,
  STATUS_CLASSES,
} from "../shm/layout.ts";
import type { LimitsMap, LimitsState, LimitTally } from "../shm/limits.ts";
import { type Arms, armCounters, canaryGauge } from "./arm-metrics.ts";
import { attemptFamilies } from "./attempt-metrics.ts";
import { type BudgetStanding, budgetCounters, budgetGauges } from "./budget-metrics.ts";
import type { Drainer, DrainTally } from "./drainer.ts";
import type { LatencyTally } from "./latency/rotation.ts";
import type { ProviderTallies } from "./providers.ts";
import { ENDPOINTS, USAGE_SOURCES } from "./record.ts";
import type { Series, SeriesRow } from "./series.ts";
import { shadowCounters, shadowGauges } from "./shadow-metrics.ts";
import { SharedHistogram } from "./shared-histogram.ts";
import type { TargetTallies, TargetTally } from "./targets.ts";
import { waitFamilies, waitHistogram } from "./wait-metrics.ts";

const NANODOLLARS_PER_DOLLAR = 1e9;

const REPLACED_REASONS = ["died", "hung", "not_started"] as const;
export type ReplacedReason = (typeof REPLACED_REASONS)[number];

/** Labels and value of one sample. */
export type Sample = readonly [labels: Record<string, string>, value: number];

/** A metric: its samples are made when it is scraped. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: readonly string[];
  readonly samples: () => readonly Sample[];
}

const TARGET_LABELS = ["provider", "model"];

/** Counters without labels that come straight out of shared memory. */
const SHARED_COUNTERS: readonly [name: string, index: number, help: string][] = [
  ["sluice_request_bytes_total", COUNTER.requestBytes, "Request body bytes received from clients."],
  ["sluice_response_bytes_total", COUNTER.responseBytes, "Response body bytes handed to clients."],
  ["sluice_unpriced_requests_total", COUNTER.unpricedRequests, "Finished requests whose model has no price."],
  [
    "sluice_records_dropped_total",
    COUNTER.recordsDropped,
    "Usage records that got no detail row, because the worker's ring was full; their tokens and cost are counted.",
  ],
  ["sluice_upstream_connects_total", COUNTER.upstreamConnects, "Connections opened to providers."],
  ["sluice_upstream_reused_requests_total", COUNTER.upstreamReuses, "Requests sent on a reused connection."],
  [
    "sluice_upstream_stale_replays_total",
    COUNTER.staleReplays,
    "Requests sent once more because their reused connection turned out to be closed.",
  ],
  ["sluice_fallbacks_total", FALLBACKS, "Tries at another target, after one that failed."],
  ["sluice_requests_shed_total", SHED, "Requests refused because a worker had too much to do; without a record."],
  ["sluice_retries_total", RETRIES, "Tries after a pause, when every target had failed."],
  ["sluice_upstream_queue_waits_total", COUNTER.queueWaits, "Requests that waited for a connection to a provider."],
];

const SHARED_GAUGES: readonly [name: string, index: number, help: string][] = [
  ["sluice_requests_in_flight", COUNTER.gaugeInFlight, "Requests in flight."],
  ["sluice_request_body_bytes_in_flight", COUNTER.gaugeBodyBytesInFlight, "Request body bytes held in memory."],
  ["sluice_scanner_slots", COUNTER.gaugeScannerSlots, "Native response scanners in use."],
  ["sluice_workers_shedding", GAUGE_SHEDDING, "Gateway workers that shed requests within the last second."],
  ["sluice_limit_queue_requests", GAUGE_WAITING, "Requests that wait for a rate limit."],
  ["sluice_upstream_connections", COUNTER.gaugeUpstreamConnections, "Open connections to providers."],
];

const SHARED_HISTOGRAMS: readonly [name: string, histogram: HistogramName, help: string][] = [
  ["sluice_request_duration_seconds", "total", "From the arrival of a request to its end."],
  ["sluice_upstream_first_byte_seconds", "firstByte", "From handing a request to the transport to the answer's head."],
  ["sluice_ttft_seconds", "ttft", "From the arrival of a request to the first body bytes handed to the client."],
  ["sluice_gateway_duration_seconds", "gateway", "The gateway's own work before a request went upstream."],
];

const SHARED_TOKENS: readonly [kind: string, index: number][] = [
  ["input", COUNTER.inputTokens],
  ["cached", COUNTER.cachedTokens],
  ["output", COUNTER.outputTokens],
  ["reasoning", COUNTER.reasoningTokens],
];

export interface MetricsOptions {
  readonly counters: CountersReader;
  readonly drainer: Pick<Drainer, "series" | "tally">;
  readonly latencies: { readonly tally: LatencyTally };
  readonly limits: Pick<LimitsMap, "tallies" | "state">;
  readonly targets: Pick<TargetTallies, "tallies">;
  readonly providers: Pick<ProviderTallies, "counters" | "gauges">;
  readonly arms: Arms;
  readonly budgets: { standings(): readonly BudgetStanding[] };
  /** Workers replaced, by reason. */
  readonly replaced: ReadonlyMap<string, number>;
  /** Routes of the configuration without latency histograms of their own. */
  readonly routes: { readonly beyond: number };
  /** Of Sluice. */
  readonly version: string;
}

export class Metrics {
  readonly #registry = new Registry();
  readonly #counters: CountersReader;
  /** All metrics of one scrape come from one sum. */
  #sum: Float64Array;
  #workersUp = 0;
  #epoch = 0;
  #reloadOkAtS = 0;

  constructor(options: MetricsOptions) {
    this.#counters = options.counters;
    this.#sum = options.counters.sum();
    const families = [...this.#requestFamilies(), ...this.#usageFamilies(), ...attemptFamilies((at) => this.#at(at))];
    families.push(...shadowCounters((at) => this.#at(at)));
    families.push(...modelFamilies(options.drainer.series), ...drainFamilies(options.drainer.tally));
    families.push(...waitFamilies((at) => this.#at(at)));
    families.push(...limitFamilies(options.limits), ...budgetCounters(options.limits));
    families.push(...targetFamilies(options.targets), ...options.providers.counters());
    families.push(...armCounters(options.arms));
    families.push(...latencyFamilies(options.latencies.tally), replacedFamily(options.replaced));
    for (const family of families) this.#register(family);
    for (const family of this.#gaugeFamilies(options)) this.#registerGauge(family);
    for (const [name, histogram, help] of SHARED_HISTOGRAMS) {
      this.#registry.registerMetric(new SharedHistogram(name, help, () => histogramOf(this.#sum, histogram)));
    }
    this.#registry.registerMetric(waitHistogram(() => histogramOf(this.#sum, "wait")));
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async render(): Promise<string> {
    this.#sum = this.#counters.sum();
    return this.#registry.metrics();
  }

  setWorkersUp(workers: number): void {
    this.#workersUp = workers;
  }

  /** A configuration took effect: its epoch, and the Unix seconds when it did. */
  setConfig(epoch: number, reloadOkAtS: number): void {
    this.#epoch = epoch;
    this.#reloadOkAtS = reloadOkAtS;
  }

  #requestFamilies(): Family[] {
    return [
      {
        name: "sluice_requests_total",
        help: "Finished requests by class of the status sent; none: closed without an answer.",
        labelNames: ["status_class"],
        samples: () => STATUS_CLASSES.map((name, i) => [{ status_class: name }, this.#at(COUNTER.statusClass0 + i)]),
      },
      {
        name: "sluice_request_errors_total",
        help: "Finished requests that ended with an error of the gateway's table, by its code.",
        labelNames: ["code"],
        samples: () => this.#errors(),
      },
      {
        name: "sluice_endpoint_requests_total",
        help: "Finished requests by endpoint of the OpenAI API.",
        labelNames: ["endpoint"],
        samples: () => ENDPOINTS.map((name, i) => [{ endpoint: name }, this.#at(COUNTER.endpoint0 + i)]),
      },
      {
        name: "sluice_connections_refused_total",
        help: "Connections to listeners with TLS or the PROXY protocol that were closed before a request, by reason.",
        labelNames: ["reason"],
        samples: () => REFUSALS.map((reason, i) => [{ reason }, this.#at(REFUSAL_0 + i)]),
      },
      ...SHARED_COUNTERS.map(([name, index, help]) => ({ name, help, samples: () => this.#one(index) })),
    ];
  }

  #usageFamilies(): Family[] {
    return [
      {
        name: "sluice_usage_requests_total",
        help: "Finished requests by where their token counts come from.",
        labelNames: ["source"],
        samples: () => USAGE_SOURCES.map((name, i) => [{ source: name }, this.#at(COUNTER.usageSource0 + i)]),
      },
      {
        name: "sluice_tokens_total",
        help: "LLM tokens by kind; cached ones are a part of input, reasoning ones of output.",
        labelNames: ["kind"],
        samples: () => SHARED_TOKENS.map(([kind, index]) => [{ kind }, this.#at(index)]),
      },
      {
        name: "sluice_cost_dollars_total",
        help: "Cost by the price table of the configuration, US dollars.",
        samples: () => [[{}, this.#at(COUNTER.costNanodollars) / NANODOLLARS_PER_DOLLAR]],
      },
    ];
  }

  #gaugeFamilies({ version, routes, targets, providers, budgets, arms }: MetricsOptions): Family[] {
    return [
      ...providers.gauges(),
      ...budgetGauges(budgets),
      canaryGauge(arms),
      ...shadowGauges((at) => this.#at(at)),
      {
        name: "sluice_target_open",
        help: "1 while the breaker of a target is open or half-open: it is left alone.",
        labelNames: TARGET_LABELS,
        samples: () => targets.tallies().map((tally): Sample => [targetLabels(tally), tally.open ? 1 : 0]),
      },
      ...SHARED_GAUGES.map(([name, index, help]) => ({ name, help, samples: () => this.#one(index) })),
      {
        name: "sluice_info",
        help: "Always 1; the version is its label.",
        labelNames: ["version"],
        samples: () => [[{ version }, 1]],
      },
      {
        name: "sluice_histogram_routes_under_other",
        help: "Routes without latency histograms of their own, because there are too many: counted under ~other.",
        samples: () => [[{}, routes.beyond]],
      },
      { name: "sluice_workers_up", help: "Gateway workers that serve.", samples: () => [[{}, this.#workersUp]] },
      {
        name: "sluice_config_epoch",
        help: "Number of the configuration in force; it grows with every reload.",
        samples: () => [[{}, this.#epoch]],
      },
      {
        name: "sluice_config_reload_ok_timestamp_seconds",
        help: "When a configuration last took effect, Unix time.",
        samples: () => [[{}, this.#reloadOkAtS]],
      },
    ];
  }

  /** prom-client counters only grow, so a scrape sets one to 0 and adds what the source says. */
  #register({ name, help, labelNames = [], samples }: Family): void {
    new Counter({
      name,
      help,
      labelNames: [...labelNames],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [labels, value] of samples()) this.inc(labels, value);
      },
    });
  }

  #registerGauge({ name, help, labelNames = [], samples }: Family): void {
    new Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers: [this.#registry],
      collect() {
        // What is gone since the last look is not there any more.
        if (labelNames.length > 0) this.reset();
        for (const [labels, value] of samples()) this.set(labels, value);
      },
    });
  }

  #at(index: number): number {
    return this.#sum[index] ?? 0;
  }

  #one(index: number): Sample[] {
    return [[{}, this.#at(index)]];
  }

  #errors(): Sample[] {
    const numbers = Array.from({ length: ERROR_NUMBERS }, (_, number) => number);
    return numbers.flatMap((number) => {
      const code = errorByNumber(number)?.code;
      return code === undefined ? [] : [[{ code }, this.#at(COUNTER.error0 + number)] as const];
    });
  }
}

function modelFamilies(series: Series): Family[] {
  return [
    {
      name: "sluice_model_requests_total",
      help: "Stored requests by model, provider and status class.",
      labelNames: ["model", "provider", "status_class"],
      samples: () => [...series.rows()].flatMap(requestSamples),
    },
    {
      name: "sluice_model_tokens_total",
      help: "Stored LLM tokens by model, provider and kind.",
      labelNames: ["model", "provider", "kind"],
      samples: () => [...series.rows()].flatMap(tokenSamples),
    },
    {
      name: "sluice_model_cost_dollars_total",
      help: "Stored cost by model and provider, US dollars.",
      labelNames: ["model", "provider"],
      samples: () => [...series.rows()].map(costSample),
    },
  ];
}

function drainFamilies(tally: DrainTally): Family[] {
  return [
    counted("sluice_records_stored_total", "Usage records committed to the store.", () => tally.records),
    counted("sluice_records_torn_total", "Usage records skipped because their bytes were damaged.", () => tally.torn),
    counted(
      "sluice_drain_failures_total",
      "Drain tasks that failed; their records stay in the ring.",
      () => tally.failures,
    ),
    counted("sluice_access_log_lines_total", "Lines handed to the access log.", () => tally.logLines),
    {
      name: "sluice_access_log_dropped_lines_total",
      help: "Access log lines lost, by reason.",
      labelNames: ["reason"],
      samples: () => [...tally.logDropped].map(([reason, lines]) => [{ reason }, lines]),
    },
  ];
}

const LIMIT_COUNTS: readonly [name: string, count: (tally: LimitTally) => number, help: string][] = [
  ["sluice_limit_rejections_total", ({ rejected }) => rejected, "Requests that a limit refused."],
  ["sluice_limit_observed_total", ({ observed }) => observed, "Requests that an observing limit would have refused."],
  [
    "sluice_limit_unplaced_total",
    ({ unplaced }) => unplaced,
    "Requests for whose state in a limit there was no room, refused or admitted as its rule says.",
  ],
];

const LIMIT_STATES: readonly [name: string, count: (state: LimitsState) => number, help: string][] = [
  [
    "sluice_limits_lock_recoveries_total",
    ({ recoveries }) => recoveries,
    "Times that a process died while it decided over limits.",
  ],
  [
    "sluice_limits_reclaimed_total",
    ({ reclaimed }) => reclaimed,
    "Counts of limits that were full again and gave way to others.",
  ],
  [
    "sluice_limits_leases_expired_total",
    ({ expired }) => expired,
    "Permits that came back by their deadlines, which those of requests and of dead workers do earlier.",
  ],
];

/** Since the map of limits was made, which may be before this start. */
function limitFamilies(limits: MetricsOptions["limits"]): Family[] {
  const labels = ({ rule: { name, quantity } }: LimitTally) => ({ limit: name, quantity });
  const ofMap = LIMIT_STATES.map(([name, count, help]) => counted(name, help, () => count(limits.state())));
  const ofLimits = LIMIT_COUNTS.map(([name, count, help]) => ({
    name,
    help,
    labelNames: ["limit", "quantity"],
    samples: () =>
      limits
        .tallies()
        .filter(isLimit)
        .map((tally): Sample => [labels(tally), count(tally)]),
  }));
  return [...ofLimits, ...ofMap];
}

/** Counts of targets that models choose among. */
const TARGET_COUNTS: readonly [name: string, count: (tally: TargetTally) => number, help: string][] = [
  ["sluice_target_tries_total", (tally) => tally.tries, "Tries at a target that its breaker was told of."],
  ["sluice_target_failures_total", (tally) => tally.failures, "Those of them that failed."],
  ["sluice_target_opens_total", (tally) => tally.opens, "How often its breaker opened."],
];

function targetFamilies(targets: MetricsOptions["targets"]): Family[] {
  return TARGET_COUNTS.map(([name, count, help]) => ({
    name,
    help,
    labelNames: TARGET_LABELS,
    samples: () => targets.tallies().map((tally): Sample => [targetLabels(tally), count(tally)]),
  }));
}

function targetLabels({ provider, model }: TargetTally): Record<string, string> {
  return { provider, model };
}

function isLimit({ rule }: LimitTally): boolean {
  return rule.calendar === null;
}

function replacedFamily(replaced: ReadonlyMap<string, number>): Family {
  return {
    name: "sluice_workers_replaced_total",
    help: "Workers replaced because they died, hung (and were killed), or did not start.",
    labelNames: ["reason"],
    samples: () => REPLACED_REASONS.map((reason) => [{ reason }, replaced.get(reason) ?? 0]),
  };
}

function latencyFamilies(tally: LatencyTally): Family[] {
  return [
    counted("sluice_histogram_lines_total", "Lines written to the interval logs.", () => tally.lines),
    {
      name: "sluice_histogram_write_failures_total",
      help: "Intervals that could not be written and are a part of the next one, by reason.",
      labelNames: ["reason"],
      samples: () => [...tally.failures].map(([reason, count]) => [{ reason }, count]),
    },
  ];
}

function counted(name: string, help: string, value: () => number): Family {
  return { name, help, samples: () => [[{}, value()]] };
}

function requestSamples({ model, provider, requests }: SeriesRow): Sample[] {
  return STATUS_CLASSES.flatMap((name, i) => {
    const count = requests[i] ?? 0;
    return count === 0 ? [] : [[{ model, provider, status_class: name }, count] as const];
  });
}

function tokenSamples(row: SeriesRow): Sample[] {
  const { model, provider } = row;
  return [
    [{ model, provider, kind: "input" }, row.inputTokens],
    [{ model, provider, kind: "cached" }, row.cachedTokens],
    [{ model, provider, kind: "output" }, row.outputTokens],
    [{ model, provider, kind: "reasoning" }, row.reasoningTokens],
  ];
}

function costSample(row: SeriesRow): Sample {
  return [{ model: row.model, provider: row.provider }, row.costNanodollars / NANODOLLARS_PER_DOLLAR];
}
