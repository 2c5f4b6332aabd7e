/** The record of a request: once, with measured or estimated usage, and a cost in whole nano-dollars. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { closeSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { hdrIndexOf } from "../../src/base/hdr-geometry.ts";
import type { Price } from "../../src/config/snapshot.ts";
import { costNanodollars } from "../../src/pipeline/cost.ts";
import { classify } from "../../src/pipeline/endpoint.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { releaseScan, settle } from "../../src/pipeline/settle.ts";
import { feedScan, openScan } from "../../src/providers/response-scan.ts";
import { createCounters, openCounters } from "../../src/shm/counters.ts";
import { createHistograms, METRICS, openHistograms } from "../../src/shm/histogram-map.ts";
import { HistogramsReader } from "../../src/shm/histogram-reader.ts";
import type { DecodedRecord } from "../../src/shm/record-codec.ts";
import { openRing, RingReader } from "../../src/shm/ring.ts";
import { listRings } from "../../src/shm/ring-file.ts";
import {
  FLAG_CLIENT_ABORTED,
  FLAG_STREAM,
  FLAG_UNPRICED,
  USAGE_ESTIMATED,
  USAGE_MEASURED,
  USAGE_NONE,
} from "../../src/telemetry/record.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";

const dataDir = mkdtempSync(join(tmpdir(), "sluice-settle-"));
createCounters(dataDir);
const { slot, writer } = openRing(dataDir);
const counters = openCounters(dataDir, slot);
const descriptor = createHistograms();
const books = { ring: writer, counters, limiter: null, histograms: openHistograms(descriptor, slot) };
const histograms = new HistogramsReader(descriptor).look();
after(() => closeSync(descriptor));
const reader = new RingReader(listRings(dataDir)[0] ?? "");

const price: Price = { inputPico: 2_500_000, cachedInputPico: 1_250_000, outputPico: 10_000_000 };
const snapshot = snapshotOf({ prices: { "upstream-allowed": price, other: price } });
const ANSWER =
  '{"usage":{"prompt_tokens":10,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}}';

/** A chat completion that the provider accepted. */
function accepted(model = "allowed"): Exchange {
  const exchange = exchangeOf({ snapshot });
  classify(exchange);
  exchange.model = model;
  exchange.route = snapshot.routes.get(model) ?? null;
  exchange.target = exchange.route?.target ?? snapshot.passthrough;
  exchange.textBytes = 41;
  exchange.sent = true;
  exchange.status = 200;
  exchange.upstreamStatus = 200;
  return exchange;
}

function answer(exchange: Exchange, text: string, events = false): Exchange {
  exchange.scan = openScan(events);
  exchange.seen = feedScan(exchange.scan, Buffer.from(text));
  return exchange;
}

/** The one record that settling an exchange, twice, writes. */
function recordOf(exchange: Exchange): DecodedRecord {
  const from = reader.writePosition();
  settle(exchange, books);
  settle(exchange, books);
  releaseScan(exchange);
  releaseScan(exchange);
  const { records } = reader.read(from, 10);
  strictEqual(records.length, 1);
  const [record] = records;
  if (record === undefined) throw new Error("there is no record");
  return record;
}

function tokensOf(record: DecodedRecord): number[] {
  const { inputTokens, cachedTokens, outputTokens, reasoningTokens, usageSource } = record;
  return [inputTokens, cachedTokens, outputTokens, reasoningTokens, usageSource];
}

test("usage that the provider measured, its cost, and who and where", () => {
  const record = recordOf(answer(accepted(), ANSWER));
  deepStrictEqual(tokensOf(record), [10, 4, 3, 2, USAGE_MEASURED]);
  strictEqual(record.costNanodollars, 6 * 2_500 + 4 * 1_250 + 3 * 10_000);
  deepStrictEqual([record.model, record.upstreamModel, record.provider], ["allowed", "upstream-allowed", "main"]);
  deepStrictEqual([record.status, record.error, record.flags], [200, 0, 0]);
});

const DELTA = 'data: {"choices":[{"delta":{"content":"12345678"}}]}\n\n';

test("a client that left in the middle of a stream: what passed is estimated, and flagged", () => {
  const exchange = answer(accepted("other"), DELTA.repeat(3), true);
  exchange.stream = true;
  exchange.error = ERRORS.clientAborted;
  const record = recordOf(exchange);
  deepStrictEqual(tokensOf(record), [11, 0, 6, 0, USAGE_ESTIMATED]);
  strictEqual(record.flags, FLAG_STREAM | FLAG_CLIENT_ABORTED);
  deepStrictEqual([record.upstreamModel, record.costNanodollars], ["other", 11 * 2_500 + 6 * 10_000]);
});

const UNBILLED: [string, (exchange: Exchange) => void][] = [
  ["was refused by the provider", (exchange) => Object.assign(exchange, { status: 429, upstreamStatus: 429 })],
  ["never reached it", (exchange) => Object.assign(exchange, { sent: false, upstreamStatus: 0 })],
  [
    "met a provider that reset",
    (exchange) => Object.assign(exchange, { upstreamStatus: 0, error: ERRORS.upstreamReset }),
  ],
  ["is no call of a model", (exchange) => Object.assign(exchange, { endpoint: 0 })],
];

for (const [what, change] of UNBILLED) {
  test(`a request that ${what} has no usage and no cost`, () => {
    const exchange = accepted();
    change(exchange);
    const record = recordOf(exchange);
    deepStrictEqual([tokensOf(record), record.costNanodollars], [[0, 0, 0, 0, USAGE_NONE], 0]);
  });
}

const ENDED_WHILE_PROVIDER_WORKS = [
  ERRORS.clientAborted,
  ERRORS.upstreamFirstByteTimeout,
  ERRORS.upstreamTotalTimeout,
  ERRORS.drainDeadline,
];

for (const error of ENDED_WHILE_PROVIDER_WORKS) {
  test(`what was ended while the provider worked pays for its prompt: ${error.code}`, () => {
    const exchange = Object.assign(accepted(), { status: error.status, upstreamStatus: 0, error });
    deepStrictEqual(tokensOf(recordOf(exchange)), [11, 0, 0, 0, USAGE_ESTIMATED]);
  });
}

test("no price: the cost is 0, and the record says why", () => {
  const exchange = answer(accepted(), ANSWER);
  exchange.target = snapshot.passthrough;
  const record = recordOf(exchange);
  deepStrictEqual([record.costNanodollars, record.flags], [0, FLAG_UNPRICED]);
});

test("one record leaves nothing in the next", () => {
  recordOf(answer(accepted(), ANSWER));
  const exchange = exchangeOf({ snapshot, path: "/v1/nowhere" });
  exchange.error = ERRORS.badFraming;
  const record = recordOf(exchange);
  deepStrictEqual([record.status, record.error], [0, ERRORS.badFraming.number]);
  deepStrictEqual([record.key, record.model, record.upstreamModel, record.provider], ["", "", "", ""]);
  deepStrictEqual(tokensOf(record), [0, 0, 0, 0, USAGE_NONE]);
});

const COSTS: [Price, number, number, number, number][] = [
  [price, 0, 0, 0, 0],
  [price, 1, 0, 0, 2_500],
  [price, 1, 1, 0, 1_250],
  [{ inputPico: 499, cachedInputPico: 0, outputPico: 0 }, 1, 0, 0, 0],
  [{ inputPico: 500, cachedInputPico: 0, outputPico: 0 }, 1, 0, 0, 1],
  [price, 10 ** 9, 0, 10 ** 9, 12_500_000_000_000],
  [{ inputPico: 1, cachedInputPico: 0, outputPico: 2 ** 53 - 1 }, 1_500, 0, 1, 9_007_199_254_742],
];

for (const [of, input, cached, output, expected] of COSTS) {
  test(`the cost of ${input} (${cached} cached) and ${output} tokens at ${of.inputPico}/${of.outputPico} pico-dollars`, () =>
    strictEqual(costNanodollars(of, input, cached, output), expected));
}

/** How many values each metric of these series got while `work` ran; without those that got none. */
function recordedBy(series: number, work: () => void): Record<string, number> {
  const sums = () => METRICS.map((_, metric) => sumOf(histograms.total(series * METRICS.length + metric)));
  const before = sums();
  work();
  const counts = sums().map((sum, i) => sum - (before[i] ?? 0));
  return Object.fromEntries(METRICS.flatMap((name, i) => (counts[i] === 0 ? [] : [[name, counts[i] ?? 0]])));
}

function sumOf(counts: Float64Array | null): number {
  return counts === null ? 0 : counts.reduce((sum, count) => sum + count, 0);
}

const [UNROUTED, ALLOWED] = [1, 2];
const REACHED: [string, number, (exchange: Exchange) => void, string[]][] = [
  ["was never read", UNROUTED, () => undefined, ["total"]],
  ["had no key", UNROUTED, (exchange) => Object.assign(exchange, { authenticatedMs: 1 }), ["auth", "total"]],
  [
    "named an unknown model",
    UNROUTED,
    (exchange) => Object.assign(exchange, { authenticatedMs: 1, bodyMs: 2, scannedMs: 3 }),
    ["auth", "recv", "scan", "total"],
  ],
  [
    "met a provider that did not answer",
    ALLOWED,
    (exchange) => {
      exchange.target = snapshot.routes.get("allowed")?.target ?? null;
      Object.assign(exchange, { authenticatedMs: 1, bodyMs: 2, scannedMs: 3, forwardedMs: 4 });
    },
    ["auth", "recv", "scan", "route", "overhead", "total"],
  ],
  [
    "was answered whole",
    ALLOWED,
    (exchange) => {
      exchange.target = snapshot.routes.get("allowed")?.target ?? null;
      Object.assign(exchange, { authenticatedMs: 1, bodyMs: 2, scannedMs: 3, forwardedMs: 4, headMs: 5 });
      exchange.firstChunkMs = 5;
    },
    ["auth", "recv", "scan", "route", "overhead", "upstream_first_byte", "total"],
  ],
  [
    "was answered with a stream",
    ALLOWED,
    (exchange) => {
      exchange.target = snapshot.routes.get("allowed")?.target ?? null;
      Object.assign(exchange, { authenticatedMs: 1, bodyMs: 2, scannedMs: 3, forwardedMs: 4, headMs: 5 });
      Object.assign(exchange, { firstChunkMs: 6, eventStream: true });
    },
    ["auth", "recv", "scan", "route", "overhead", "upstream_first_byte", "ttft", "total"],
  ],
];

for (const [what, series, change, metrics] of REACHED) {
  test(`a request that ${what} is in the histograms ${metrics.join(", ")}, once`, () => {
    const exchange = exchangeOf({ snapshot });
    change(exchange);
    const expected = Object.fromEntries(metrics.map((name) => [name, 1]));
    deepStrictEqual(
      recordedBy(series, () => void recordOf(exchange)),
      expected,
    );
  });
}

test("the overhead leaves out how long the client took for its body", () => {
  const exchange = exchangeOf({ snapshot });
  Object.assign(exchange, { authenticatedMs: 1, bodyMs: 1_000, scannedMs: 1_002, forwardedMs: 1_004 });
  exchange.target = snapshot.passthrough;
  const overhead = 4 * METRICS.length + METRICS.indexOf("overhead");
  const before = histograms.total(overhead);
  recordOf(exchange);
  const index = hdrIndexOf(5e6);
  strictEqual((histograms.total(overhead)?.[index] ?? 0) - (before?.[index] ?? 0), 1);
});
