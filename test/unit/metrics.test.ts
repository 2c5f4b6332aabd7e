/** /metrics: well-formed Prometheus text with bounded labels, from what the workers and the drainer counted. */
import { deepEqual, doesNotMatch, equal, match, ok } from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { LimitRule } from "../../src/base/limit-terms.ts";
import { METRIC_SERIES_MAX } from "../../src/base/limits.ts";
import { CREDENTIAL_AT, prepareBreakers } from "../../src/shm/breakers.ts";
import { createCounters, openCounters } from "../../src/shm/counters.ts";
import { COUNTER } from "../../src/shm/layout.ts";
import type { DrainTally } from "../../src/telemetry/drainer.ts";
import type { LatencyTally } from "../../src/telemetry/latency/rotation.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import { ProviderTallies } from "../../src/telemetry/providers.ts";
import { Rollup } from "../../src/telemetry/rollup.ts";
import { Series } from "../../src/telemetry/series.ts";
import { parseMetrics, sumOf } from "../support/prometheus.ts";
import { decodedRecord, sampleRecord } from "../support/sample-record.ts";

const RULE: LimitRule = {
  name: "key",
  quantity: "requests",
  kind: "rate",
  scope: ["key"],
  keys: null,
  models: null,
  limit: 100,
  burst: 100,
  periodMs: 60_000,
  observes: false,
  admitsUnplaced: false,
  calendar: null,
  alertAt: [],
};

const COUNTS = { requests: 9, judged: 8, failed: 7, rolledBack: true };
const ARM = { model: "chat", route: "chat/long", arm: "canary", canary: true, ...COUNTS };

function newMetrics() {
  const dataDir = mkdtempSync(join(tmpdir(), "sluice-metrics-"));
  const counters = createCounters(dataDir);
  const tally: DrainTally = { records: 0, torn: 0, failures: 0, logLines: 0, logDropped: new Map() };
  const latencies: LatencyTally = { lines: 0, failures: new Map() };
  const series = new Series();
  const breakers = prepareBreakers(dataDir, false);
  const providers = new ProviderTallies(breakers);
  const metrics = new Metrics({
    counters,
    drainer: { series, tally },
    latencies: { tally: latencies },
    providers,
    targets: { tallies: () => [{ provider: "one", model: "m", open: true, opens: 2, tries: 9, failures: 7 }] },
    limits: {
      tallies: () => [{ rule: RULE, rejected: 3, observed: 4, unplaced: 5, alerts: 0 }],
      state: () => ({ recoveries: 6, reclaimed: 7, unplaced: 5, expired: 8 }),
    },
    budgets: { standings: () => [] },
    arms: { standings: () => [ARM] },
    replaced: new Map(),
    routes: { beyond: 3 },
    version: "1.2.3",
  });
  return {
    metrics,
    latencies,
    series,
    tally,
    breakers,
    providers,
    writer: (slot: number) => openCounters(dataDir, slot),
  };
}

function rollupOf(...records: Parameters<typeof decodedRecord>[0][]) {
  const rollup = new Rollup();
  for (const changes of records) rollup.add(decodedRecord(changes), changes?.model ?? "gpt-5-mini", "m");
  return rollup.rows();
}

async function samplesOf(metrics: Metrics) {
  const samples = parseMetrics(await metrics.render());
  return (name: string, labels: Record<string, string> = {}) => sumOf(samples, name, labels);
}

describe("metrics", () => {
  test("are added over all workers, and the same at the next scrape", async () => {
    const { metrics, writer } = newMetrics();
    for (const slot of [0, 1, 200]) writer(slot).recordRequest(sampleRecord());
    await metrics.render();
    const value = await samplesOf(metrics);
    equal(value("sluice_requests_total", { status_class: "2xx" }), 3);
    equal(value("sluice_requests_total"), 3);
    equal(value("sluice_endpoint_requests_total", { endpoint: "chat/completions" }), 3);
    equal(value("sluice_tokens_total", { kind: "output" }), 936);
    equal(value("sluice_cost_dollars_total"), 0.012375);
    equal(value("sluice_request_errors_total", { code: "upstream_cut" }), 0);
  });

  test("say what became of the latency histograms", async () => {
    const { metrics, latencies } = newMetrics();
    latencies.lines = 18;
    latencies.failures.set("ENOSPC", 2);
    const value = await samplesOf(metrics);
    equal(value("sluice_histogram_lines_total"), 18);
    equal(value("sluice_histogram_write_failures_total", { reason: "ENOSPC" }), 2);
    equal(value("sluice_histogram_routes_under_other"), 3);
  });

  test("have gauges that follow the workers and the supervisor", async () => {
    const { metrics, writer } = newMetrics();
    writer(0).set(COUNTER.gaugeInFlight, 7);
    writer(1).set(COUNTER.gaugeInFlight, 5);
    metrics.setWorkersUp(2);
    metrics.setConfig(4, 1_700_000_000);
    const value = await samplesOf(metrics);
    deepEqual(
      [value("sluice_requests_in_flight"), value("sluice_workers_up"), value("sluice_config_epoch")],
      [12, 2, 4],
    );
    equal(value("sluice_info", { version: "1.2.3" }), 1);
    metrics.setWorkersUp(1);
    equal((await samplesOf(metrics))("sluice_workers_up"), 1);
  });

  test("have cumulative histograms in seconds", async () => {
    const { metrics, writer } = newMetrics();
    const one = writer(0);
    for (const totalUs of [10, 100, 1_000_000]) one.recordRequest(sampleRecord({ totalUs }));
    const value = await samplesOf(metrics);
    const bucket = (le: string) => value("sluice_request_duration_seconds_bucket", { le });
    deepEqual([bucket("0.000016"), bucket("0.000128"), bucket("1.048576"), bucket("+Inf")], [1, 2, 3, 3]);
    equal(value("sluice_request_duration_seconds_count"), 3);
    equal(value("sluice_request_duration_seconds_sum"), 1.00011);
  });

  test("have series by model and provider", async () => {
    const { metrics, series, tally } = newMetrics();
    series.add(rollupOf({ status: 200 }, { status: 502 }, { status: 200, provider: "azure" }));
    tally.logDropped.set("ENOSPC", 9);
    const value = await samplesOf(metrics);
    equal(value("sluice_model_requests_total", { model: "gpt-5-mini", provider: "openai", status_class: "5xx" }), 1);
    equal(value("sluice_model_tokens_total", { provider: "azure", kind: "input" }), 1_250);
    equal(value("sluice_model_cost_dollars_total"), 0.012375);
    equal(value("sluice_access_log_dropped_lines_total", { reason: "ENOSPC" }), 9);
  });

  test("bound their series: models beyond the limit are 'other', and none is lost", async () => {
    const { metrics, series } = newMetrics();
    const names = Array.from({ length: METRIC_SERIES_MAX + 100 }, (_, i) => ({ model: `model-${i}` }));
    series.add(rollupOf(...names));
    equal([...series.rows()].length, METRIC_SERIES_MAX);
    const value = await samplesOf(metrics);
    equal(value("sluice_model_requests_total"), METRIC_SERIES_MAX + 100);
    equal(value("sluice_model_requests_total", { model: "other", provider: "other" }), 101);
  });

  test("are text that Prometheus takes: HELP and TYPE for each, escaped labels, units in the names", async () => {
    const { metrics, series } = newMetrics();
    series.add(rollupOf({ model: 'a"b\\c\nd' }));
    const text = await metrics.render();
    match(metrics.contentType, /^text\/plain; version=0\.0\.4/);
    match(text, /model="a\\"b\\\\c\\nd"/);
    for (const line of text.trimEnd().split("\n")) {
      match(line, /^$|^# (HELP|TYPE) sluice_\w+ \S|^sluice_\w+(\{.*\})? (\d[\d.e+-]*|\+Inf)$/);
    }
    for (const [, name = ""] of text.matchAll(/^# TYPE (\w+) counter$/gm)) ok(name.endsWith("_total"), name);
    equal(text.match(/^# HELP /gm)?.length, text.match(/^# TYPE /gm)?.length);
  });
});

test("limits count what they refused, what they would have, and what found no room", async () => {
  const { metrics } = newMetrics();
  const text = await metrics.render();
  match(text, /^sluice_limit_rejections_total\{limit="key",quantity="requests"\} 3$/m);
  match(text, /^sluice_limit_observed_total\{limit="key",quantity="requests"\} 4$/m);
  match(text, /^sluice_limit_unplaced_total\{limit="key",quantity="requests"\} 5$/m);
  match(text, /^sluice_limits_lock_recoveries_total 6$/m);
  match(text, /^sluice_limits_reclaimed_total 7$/m);
  match(text, /^sluice_limits_leases_expired_total 8$/m);
});

test("credentials of providers that have several show what became of them, and no more than is configured", async () => {
  const { metrics, breakers, providers } = newMetrics();
  doesNotMatch(await metrics.render(), /^sluice_credential_failures_total\{/m);
  providers.configure(
    [1, 2].map((number) => ({ provider: "one", number, value: `secret-${number}` })),
    [],
  );
  const slot = breakers.slotOfCredential("one", "secret-2");
  slot[CREDENTIAL_AT.failures] = 3;
  slot[CREDENTIAL_AT.refused] = 1;
  const text = await metrics.render();
  match(text, /^sluice_credential_failures_total\{provider="one",credential="1"\} 0$/m);
  match(text, /^sluice_credential_failures_total\{provider="one",credential="2"\} 3$/m);
  match(text, /^sluice_credential_refused\{provider="one",credential="2"\} 1$/m);
  doesNotMatch(text, /secret/);
});

test("targets that models choose among show whether they are left alone, and how their tries went", async () => {
  const { metrics } = newMetrics();
  const text = await metrics.render();
  match(text, /^sluice_target_open\{provider="one",model="m"\} 1$/m);
  match(text, /^sluice_target_opens_total\{provider="one",model="m"\} 2$/m);
  match(text, /^sluice_target_tries_total\{provider="one",model="m"\} 9$/m);
  match(text, /^sluice_target_failures_total\{provider="one",model="m"\} 7$/m);
});
