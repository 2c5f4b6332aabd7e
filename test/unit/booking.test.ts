/** Attempts that did not bring the answer: a record of their own kind where they may be billed, nothing else of a request, and budgets know. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { closeSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import type { LimitRule } from "../../src/base/limit-terms.ts";
import type { Target } from "../../src/config/snapshot.ts";
import { type BookedKind, book } from "../../src/pipeline/booking.ts";
import { classify } from "../../src/pipeline/endpoint.ts";
import { NO_SCAN, type Outcome } from "../../src/pipeline/entry.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { Limiter } from "../../src/pipeline/limit.ts";
import { releaseScan, settle } from "../../src/pipeline/settle.ts";
import { closeScan, feedScan, openScan } from "../../src/providers/response-scan.ts";
import { createCounters, openCounters } from "../../src/shm/counters.ts";
import { createHistograms, openHistograms } from "../../src/shm/histogram-map.ts";
import { COUNTER, KIND_0, KIND_COST_0 } from "../../src/shm/layout.ts";
import { prepareLimits } from "../../src/shm/limits.ts";
import type { DecodedRecord } from "../../src/shm/record-codec.ts";
import { openRing, RingReader } from "../../src/shm/ring.ts";
import { listRings } from "../../src/shm/ring-file.ts";
import {
  KIND_HEDGE,
  KIND_REQUEST,
  KIND_SHADOW,
  KIND_TRY,
  USAGE_ESTIMATED,
  USAGE_MEASURED,
} from "../../src/telemetry/record.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";
import { ruleOf } from "../support/limits.ts";

const dataDir = mkdtempSync(join(tmpdir(), "sluice-booking-"));
const counts = createCounters(dataDir);
const { slot, writer } = openRing(dataDir);
const descriptor = createHistograms();
const spending: LimitRule = ruleOf({
  name: "spending",
  kind: "budget",
  quantity: "cost",
  scope: [],
  periodMs: 0,
  limit: 10 ** 9,
  calendar: { per: "total", timeZone: "UTC" },
});
const map = prepareLimits(dataDir);
const limiter = new Limiter(map, () => undefined);
const books = {
  ring: writer,
  counters: openCounters(dataDir, slot),
  limiter,
  histograms: openHistograms(descriptor, slot),
};
closeSync(descriptor);
const reader = new RingReader(listRings(dataDir)[0] ?? "");

const price = { inputPico: 1_000_000, cachedInputPico: 500_000, outputPico: 2_000_000 };
const dear = { inputPico: 10_000_000, cachedInputPico: 5_000_000, outputPico: 20_000_000 };
const snapshot = { ...snapshotOf({ prices: { "upstream-allowed": price, other: price } }), limits: [spending] };
limiter.configure(snapshot);

/** A chat completion of eleven tokens that is admitted and has a target. */
function admitted(): Exchange {
  const exchange = exchangeOf({ snapshot });
  classify(exchange);
  exchange.model = "allowed";
  exchange.route = snapshot.routes.get("allowed") ?? null;
  exchange.target = exchange.route?.target ?? null;
  exchange.textBytes = 41;
  exchange.outputTokensMax = 5;
  strictEqual(limiter.admit(exchange), null);
  return exchange;
}

function elsewhere(): Target {
  const { passthrough } = snapshot;
  if (passthrough === null) throw new Error("the snapshot has a second target");
  return { ...passthrough, price: dear };
}

const TIMED_OUT: Outcome = {
  sent: true,
  upstreamStatus: 0,
  error: ERRORS.upstreamFirstByteTimeout,
  scan: NO_SCAN,
  seen: 0,
  credential: -1,
};

/** The records that `work` leaves. */
function recordsOf(work: () => void): readonly DecodedRecord[] {
  const from = reader.writePosition();
  work();
  return reader.read(from, 10).records;
}

function spentBy(work: () => void): [used: number, settled: number] {
  const before = map.spent(spending, new Map());
  work();
  const after = map.spent(spending, new Map());
  return [(after?.used ?? 0) - (before?.used ?? 0), (after?.settled ?? 0) - (before?.settled ?? 0)];
}

test("a try that timed out, and then the request: two records with one id, each at the price of its target", () => {
  const exchange = admitted();
  const records = recordsOf(() => {
    book(exchange, KIND_TRY, elsewhere(), TIMED_OUT, books);
    Object.assign(exchange, { sent: true, status: 200, upstreamStatus: 200 });
    settle(exchange, books);
  });
  deepStrictEqual(
    records.map((record) => [record.kind, record.requestId, record.status, record.upstreamStatus, record.error]),
    [
      [KIND_TRY, exchange.requestId, 0, 0, ERRORS.upstreamFirstByteTimeout.number],
      [KIND_REQUEST, exchange.requestId, 200, 200, 0],
    ],
  );
  deepStrictEqual(
    records.map(({ inputTokens, outputTokens, usageSource, costNanodollars }) => [
      inputTokens,
      outputTokens,
      usageSource,
      costNanodollars,
    ]),
    [
      [11, 0, USAGE_ESTIMATED, 110_000],
      [11, 0, USAGE_ESTIMATED, 11_000],
    ],
  );
});

const UNBILLED: [string, Partial<Outcome>][] = [
  ["was never sent", { sent: false }],
  ["was refused", { upstreamStatus: 429, error: null }],
  ["met a provider that reset", { error: ERRORS.upstreamReset }],
];

for (const [what, changes] of UNBILLED) {
  test(`an attempt that ${what} leaves nothing`, () => {
    const exchange = admitted();
    deepStrictEqual(
      recordsOf(() => book(exchange, KIND_TRY, elsewhere(), { ...TIMED_OUT, ...changes }, books)),
      [],
    );
    settle(exchange, books);
  });
}

test("a hedge that lost in the middle of its answer is booked with what came of it", () => {
  const exchange = admitted();
  const scan = openScan(false);
  const answer = '{"usage":{"prompt_tokens":10,"completion_tokens":3}}';
  const seen = feedScan(scan, Buffer.from(answer));
  const outcome = { sent: true, upstreamStatus: 200, error: null, scan, seen, credential: 2 };
  const [record] = recordsOf(() => book(exchange, KIND_HEDGE, elsewhere(), outcome, books));
  closeScan(scan);
  deepStrictEqual(
    [
      record?.kind,
      record?.credential,
      record?.inputTokens,
      record?.outputTokens,
      record?.usageSource,
      record?.costNanodollars,
    ],
    [KIND_HEDGE, 3, 10, 3, USAGE_MEASURED, 160_000],
  );
  settle(exchange, books);
});

test("a hedge that was not wanted any more before it was answered is booked with its prompt", () => {
  const exchange = admitted();
  const [record] = recordsOf(() => book(exchange, KIND_HEDGE, elsewhere(), { ...TIMED_OUT, error: null }, books));
  deepStrictEqual([record?.inputTokens, record?.error], [11, 0]);
  settle(exchange, books);
});

for (const [name, kind, cost] of [
  ["try", KIND_TRY, 110_000],
  ["hedge", KIND_HEDGE, 110_000],
  ["shadow", KIND_SHADOW, 0],
] as const satisfies [string, BookedKind, number][]) {
  test(`what a ${name} cost is ${cost > 0 ? "" : "not "}spent from the budget, at once and beside what is reserved`, () => {
    const exchange = admitted();
    deepStrictEqual(
      spentBy(() => book(exchange, kind, elsewhere(), TIMED_OUT, books)),
      [cost, cost],
    );
    // 11 tokens of prompt and 5 of the answer were reserved for the request itself.
    deepStrictEqual(
      spentBy(() => settle(Object.assign(exchange, { sent: true, upstreamStatus: 200 }), books)),
      [-10_000, 11_000],
    );
    releaseScan(exchange);
  });

  test(`a ${name} is counted, but as no request`, () => {
    const exchange = admitted();
    const before = counts.sum();
    book(exchange, kind, elsewhere(), TIMED_OUT, books);
    const after = counts.sum();
    const added = (index: number) => (after[index] ?? 0) - (before[index] ?? 0);
    deepStrictEqual([added(KIND_0 + kind), added(KIND_COST_0 + kind)], [1, 110_000]);
    deepStrictEqual([added(COUNTER.inputTokens), added(COUNTER.costNanodollars)], cost > 0 ? [11, cost] : [0, 0]);
    const single = [COUNTER.statusClass0, COUNTER.endpoint0 + 1, COUNTER.usageSource0 + USAGE_ESTIMATED];
    deepStrictEqual(single.map(added), [0, 0, 0]);
    settle(exchange, books);
  });
}
