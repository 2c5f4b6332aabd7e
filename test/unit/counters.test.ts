/** The shared counters: one block per slot, added up by the supervisor. */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { mkdtempSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { RINGS_MAX } from "../../src/base/limits.ts";
import { bucketOf, createCounters, histogramOf, openCounters } from "../../src/shm/counters.ts";
import { BUCKETS, COUNTER, COUNTER_BLOCK_BYTES, COUNTER_LENGTH } from "../../src/shm/layout.ts";
import { FLAG_UNPRICED, USAGE_ESTIMATED } from "../../src/telemetry/record.ts";
import { sampleRecord } from "../support/sample-record.ts";

function dataDirectory(): string {
  return mkdtempSync(join(tmpdir(), "sluice-counters-"));
}

describe("counters", () => {
  test("of a block fit into its page", () => ok(COUNTER_LENGTH * 8 <= COUNTER_BLOCK_BYTES));

  test("add everything a finished request brings, over all slots", () => {
    const dataDir = dataDirectory();
    const reader = createCounters(dataDir);
    const writers = [0, 7, RINGS_MAX - 1].map((slot) => openCounters(dataDir, slot));
    for (const writer of writers) writer.recordRequest(sampleRecord({ flags: FLAG_UNPRICED }));
    writers[0]?.recordRequest(sampleRecord({ status: 502, error: 60, usageSource: USAGE_ESTIMATED, ttftUs: 0 }));
    const sum = reader.sum();
    const at = (index: number) => sum[index];
    deepEqual([at(COUNTER.statusClass0 + 2), at(COUNTER.statusClass0 + 5), at(COUNTER.error0 + 60)], [3, 1, 1]);
    deepEqual([at(COUNTER.endpoint0 + 1), at(COUNTER.usageSource0 + 1), at(COUNTER.usageSource0 + 2)], [4, 3, 1]);
    deepEqual([at(COUNTER.inputTokens), at(COUNTER.outputTokens), at(COUNTER.cachedTokens)], [5_000, 1_248, 4_096]);
    deepEqual([at(COUNTER.costNanodollars), at(COUNTER.unpricedRequests)], [16_500_000, 3]);
    deepEqual([at(COUNTER.requestBytes), at(COUNTER.responseBytes)], [17_644, 244_816]);
    equal(histogramOf(sum, "total").sumUs, 4 * 2_412_000);
    equal(histogramOf(sum, "total").buckets[bucketOf(2_412_000)], 4);
    equal(
      histogramOf(sum, "ttft").buckets.reduce((a, b) => a + b),
      3,
    );
  });

  test("count a status and numbers they do not know under the first of the family", () => {
    const dataDir = dataDirectory();
    const reader = createCounters(dataDir);
    openCounters(dataDir, 0).recordRequest(sampleRecord({ status: 0, endpoint: 200, usageSource: 9, error: 4_000 }));
    const sum = reader.sum();
    deepEqual([sum[COUNTER.statusClass0], sum[COUNTER.endpoint0], sum[COUNTER.usageSource0]], [1, 1, 1]);
  });

  test("keep their values and lose their gauges when a slot changes hands", () => {
    const dataDir = dataDirectory();
    const reader = createCounters(dataDir);
    const writer = openCounters(dataDir, 3);
    writer.add(COUNTER.recordsDropped, 2);
    writer.set(COUNTER.gaugeInFlight, 40);
    writer.set(COUNTER.heartbeatMs, 123);
    equal(reader.value(3, COUNTER.heartbeatMs), 123);
    reader.resetGauges(3);
    deepEqual([reader.sum()[COUNTER.gaugeInFlight], reader.value(3, COUNTER.heartbeatMs)], [0, 0]);
    writer.set(COUNTER.gaugeInFlight, 1);
    openCounters(dataDir, 3);
    deepEqual([reader.sum()[COUNTER.gaugeInFlight], reader.sum()[COUNTER.recordsDropped]], [0, 2]);
  });

  test("begin anew with the supervisor, and a worker of the old one disturbs nobody", () => {
    const dataDir = dataDirectory();
    createCounters(dataDir);
    const old = openCounters(dataDir, 0);
    const { ino } = statSync(join(dataDir, "counters.map"));
    const reader = createCounters(dataDir);
    ok(statSync(join(dataDir, "counters.map")).ino !== ino);
    old.add(COUNTER.recordsDropped, 1);
    equal(reader.sum()[COUNTER.recordsDropped], 0);
  });

  test("are not opened from a file that no supervisor made", () => {
    throws(() => openCounters(dataDirectory(), 0), { code: "counters_invalid" });
  });
});

describe("buckets", () => {
  const cases: [us: number, bucket: number][] = [
    [0, 0],
    [16, 0],
    [17, 1],
    [32, 1],
    [33, 2],
    [2 ** 31, BUCKETS - 2],
    [2 ** 31 + 1, BUCKETS - 1],
    [2 ** 32 - 1, BUCKETS - 1],
  ];
  for (const [us, bucket] of cases) test(`${us} us are in bucket ${bucket}`, () => equal(bucketOf(us), bucket));
});
