/** Intervals on disk and figures on the admin port, from what several workers record meanwhile; the pool is a function. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { HDR_SERIES_MAX } from "../../src/base/limits.ts";
import type { Series } from "../../src/config/series.ts";
import { createHistograms, METRIC, METRICS, openHistograms } from "../../src/shm/histogram-map.ts";
import { decodeHistogram } from "../../src/telemetry/hdr/encoding.ts";
import { type Histogram, newHistogram } from "../../src/telemetry/hdr/histogram.ts";
import { readHlog } from "../../src/telemetry/hdr/hlog-reader.ts";
import { logFolder } from "../../src/telemetry/latency/files.ts";
import { type Answer, LatencyRotation } from "../../src/telemetry/latency/rotation.ts";
import latencyTask, { type LatencyTask } from "../../src/telemetry/latency/task.ts";
import { Random } from "../fuzz/random.ts";
import { until } from "../support/until.ts";

const ROWS: readonly Series[] = [
  { route: "~other", provider: "", model: "*" },
  { route: "~unrouted", provider: "", model: "*" },
  { route: "fast", provider: "one", model: "llama3.2:3b" },
  { route: "a/b c,d", provider: "two", model: "ä" },
];
const HISTOGRAMS = { intervalMs: 3_600_000, diskBytes: 16_777_216 };

function stage(context: TestContext, histograms = HISTOGRAMS) {
  const dataDir = mkdtempSync(join(tmpdir(), "sluice-latency-"));
  // Never closed: the task knows a memory file by its descriptor, which another one would get.
  const descriptor = createHistograms();
  const errors: string[] = [];
  const pool = { run: async (task: LatencyTask) => latencyTask(task), tasks: 0 };
  const rotation = new LatencyRotation({
    descriptor,
    dataDir,
    histograms,
    series: { rows: ROWS, beyond: 1 },
    run: (task) => {
      pool.tasks += 1;
      return pool.run(task);
    },
    onError: (error) => void errors.push(String(error)),
  });
  context.after(async () => {
    await rotation.close();
    rmSync(dataDir, { recursive: true });
  });
  return { descriptor, folder: logFolder(dataDir), rotation, pool, errors };
}

/** Everything in the logs, added up by tag. */
function logged(folder: string): Map<string, Histogram> {
  const sums = new Map<string, Histogram>();
  for (const name of readdirSync(folder).sort()) {
    for (const { tag, histogram } of readHlog(join(folder, name), failOn)) {
      const sum = sums.get(tag) ?? newHistogram();
      sum.add(histogram);
      sums.set(tag, sum);
    }
  }
  return sums;
}

function failOn(message: string): void {
  throw new Error(message);
}

function countOf(sums: Map<string, Histogram>): number {
  return [...sums.values()].reduce((count, histogram) => count + histogram.totalCount, 0);
}

function textOf(answer: Answer): string {
  if (answer.status !== 200) throw new Error(`${answer.status}: ${answer.message}`);
  return answer.text;
}

interface Listed {
  readonly route: string;
  readonly target: { readonly provider: string; readonly model: string } | null;
  readonly metric: string;
  readonly unit: string;
  readonly count: number;
  readonly max: number;
  readonly percentiles: Readonly<Record<string, number>>;
  readonly v2: string;
}

async function listed(rotation: LatencyRotation, query: Record<string, string> = {}): Promise<Listed[]> {
  return JSON.parse(textOf(await rotation.answer("json", query))).histograms;
}

test("one line for each histogram that changed, tagged by route, target and metric", async (context) => {
  const { descriptor, folder, rotation } = stage(context);
  const writer = openHistograms(descriptor, 0);
  writer.record(1, METRIC.auth, 0.5);
  writer.record(2, METRIC.ttft, 2);
  writer.record(2, METRIC.ttft, 3);
  writer.record(3, METRIC.total, 4);
  await rotation.rotate();
  const sums = logged(folder);
  deepStrictEqual(
    [...sums].map(([tag, { totalCount }]) => [tag, totalCount]),
    [
      ["~unrouted/auth", 1],
      ["fast/one/llama3.2:3b/ttft", 2],
      ["a%2Fb%20c%2Cd/two/%C3%A4/total", 1],
    ],
  );
  deepStrictEqual(rotation.tally, { lines: 3, failures: new Map() });
});

test("an idle gateway wakes no pool thread and writes nothing", async (context) => {
  const { descriptor, rotation, pool } = stage(context);
  await rotation.rotate();
  strictEqual(pool.tasks, 0);
  openHistograms(descriptor, 0).record(2, METRIC.auth, 1);
  await rotation.rotate();
  await rotation.rotate();
  strictEqual(pool.tasks, 1);
});

test("intervals follow each other without a hole and without an overlap", async (context) => {
  const { descriptor, folder, rotation } = stage(context);
  const writer = openHistograms(descriptor, 0);
  for (let i = 0; i < 3; i += 1) {
    writer.record(2, METRIC.auth, 1);
    await rotation.rotate();
  }
  const intervals = readdirSync(folder).flatMap((name) => [...readHlog(join(folder, name), failOn)]);
  strictEqual(intervals.length, 3);
  for (const [i, { startMs }] of intervals.entries()) if (i > 0) strictEqual(startMs, intervals[i - 1]?.endMs);
});

for (const seed of [1, 2, 3]) {
  test(`nothing is lost or written twice, whatever the pool does (seed ${seed})`, async (context) => {
    const { descriptor, folder, rotation, pool } = stage(context);
    const random = new Random(seed);
    const writers = [0, 7].map((slot) => openHistograms(descriptor, slot));
    pool.run = async (task) => {
      if (random.chance(0.2)) throw new Error("ENOSPC: no space left on device");
      const result = latencyTask(task);
      if (random.chance(0.2)) throw new Error("the thread ended before it could tell");
      return result;
    };
    let recorded = 0;
    for (let step = 0; step < 3_000; step += 1) {
      random.pick(writers).record(random.below(ROWS.length), random.below(METRICS.length), random.unit() * 1_000);
      recorded += 1;
      if (random.chance(0.02)) await rotation.rotate();
    }
    pool.run = async (task) => latencyTask(task);
    await rotation.rotate();
    strictEqual(countOf(logged(folder)), recorded);
    const counts = (await listed(rotation)).map(({ count }) => count);
    strictEqual(
      counts.reduce((sum, count) => sum + count, 0),
      recorded,
    );
  });
}

test("a disk that refuses is told once, counted every time, and costs nothing but resolution", async (context) => {
  const { descriptor, folder, rotation, errors } = stage(context);
  const writer = openHistograms(descriptor, 0);
  writeFileSync(folder, "");
  for (let i = 0; i < 3; i += 1) {
    writer.record(2, METRIC.auth, 1);
    await rotation.rotate();
  }
  deepStrictEqual([...rotation.tally.failures], [["EEXIST", 3]]);
  strictEqual(errors.length, 1);
  match(errors[0] ?? "", /wait for the disk: EEXIST/);
  rmSync(folder);
  await rotation.rotate();
  strictEqual(countOf(logged(folder)), 3);
  writer.record(2, METRIC.auth, 1);
  rmSync(folder, { recursive: true });
  writeFileSync(folder, "");
  await rotation.rotate();
  strictEqual(errors.length, 2);
});

test("logs of earlier starts are brought within the bound at start, and intervals come by themselves", async (context) => {
  const { descriptor, folder, rotation } = stage(context, { intervalMs: 20, diskBytes: 1_048_576 });
  openHistograms(descriptor, 0).record(2, METRIC.auth, 1);
  rotation.start();
  await until("an interval is on disk", () => rotation.tally.lines === 1);
  const early = readdirSync(folder)[0] ?? "";
  writeFileSync(join(folder, "sluice-20200101T000000000Z.hlog"), "x".repeat(1_048_576));
  rotation.start();
  deepStrictEqual(readdirSync(folder), [early]);
});

test("the figures are those of HdrHistogram, and V2 has all of the counts", async (context) => {
  const { descriptor, rotation } = stage(context);
  const writers = [openHistograms(descriptor, 0), openHistograms(descriptor, 1)];
  for (let i = 1; i <= 1_000; i += 1) writers[i % 2]?.record(2, METRIC.total, i);
  const [first, ...others] = await listed(rotation, { route: "fast", metric: "total" });
  deepStrictEqual(
    [others.length, first?.route, first?.metric, first?.unit, first?.count],
    [0, "fast", "total", "ns", 1_000],
  );
  deepStrictEqual(first?.target, { provider: "one", model: "llama3.2:3b" });
  ok(Math.abs((first?.percentiles["p50"] ?? 0) / 500e6 - 1) < 0.001);
  ok(Math.abs((first?.percentiles["p99.9"] ?? 0) / 999e6 - 1) < 0.001);
  const decoded = decodeHistogram(first?.v2 ?? "");
  deepStrictEqual([decoded.totalCount, decoded.maxValue], [1_000, first?.max]);
});

test("one text of all that a query selects", async (context) => {
  const { descriptor, rotation } = stage(context);
  openHistograms(descriptor, 0).record(2, METRIC.total, 1);
  openHistograms(descriptor, 1).record(3, METRIC.total, 5);
  const sum = decodeHistogram(textOf(await rotation.answer("v2", { metric: "total" })));
  strictEqual(sum.totalCount, 2);
  const curve = textOf(await rotation.answer("hgrm", { metric: "total", provider: "two" }));
  match(curve, /^ +Value +Percentile +TotalCount/);
  match(curve, /Total count +=? *.*1\]/);
  match(curve, /5\.0\d\d/);
});

const REFUSED: [string, "json" | "hgrm", Record<string, unknown>, number, RegExp][] = [
  ["an unknown metric", "json", { metric: "speed" }, 400, /one of auth, recv.*total/],
  ["several metrics in one", "hgrm", {}, 400, /'metric' must be/],
  ["an unknown filter", "json", { target: "x" }, 400, /'target' is not one of route, provider, model, metric/],
  ["a filter that comes twice", "json", { route: ["fast", "fast"] }, 400, /'route' is not one of/],
  ["an unknown route", "json", { route: "slow" }, 404, /no route 'slow'\. There is ~other, ~unrouted, fast/],
  ["an unknown provider", "json", { provider: "three" }, 404, /There is one, two\./],
  ["an unknown model", "json", { model: "gpt" }, 404, /There is \*, llama3\.2:3b, ä\./],
  ["names that do not belong together", "json", { route: "fast", provider: "two" }, 404, /no target with these names/],
  ["what has no value yet", "hgrm", { metric: "gap" }, 404, /Nothing was recorded/],
];

for (const [what, form, query, status, message] of REFUSED) {
  test(`a query for ${what} is answered ${status}`, async (context) => {
    const answer = await stage(context).rotation.answer(form, query);
    strictEqual(answer.status, status);
    match("message" in answer ? answer.message : "", message);
  });
}

test("the answer says since when, and how many routes have no histograms of their own", async (context) => {
  const { rotation } = stage(context);
  const { since, series, histograms } = JSON.parse(textOf(await rotation.answer("json", {})));
  ok(Date.now() - Date.parse(since) < 60_000);
  deepStrictEqual(series, { used: ROWS.length, max: HDR_SERIES_MAX, routes_under_other: 1 });
  deepStrictEqual(histograms, []);
});

test("a pool that is down is answered 503, and so are more questions than can wait", async (context) => {
  const { rotation, pool, errors } = stage(context);
  pool.run = () => Promise.reject(new Error("the task pool failed to start"));
  strictEqual((await rotation.answer("json", {})).status, 503);
  const gate = Promise.withResolvers<string>();
  pool.run = () => gate.promise;
  const answers = Array.from({ length: 40 }, () => rotation.answer("json", {}));
  gate.resolve("text");
  const statuses = (await Promise.all(answers)).map(({ status }) => status);
  deepStrictEqual(new Set(statuses), new Set([200, 503]));
  match(errors.join(), /too many requests for histograms/);
});
