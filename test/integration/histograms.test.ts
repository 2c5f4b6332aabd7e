/** Latency histograms of the real program: every request once, over workers, their deaths, reloads and the program's end. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { readHlog } from "../../src/telemetry/hdr/hlog-reader.ts";
import { type ConfigForm, standardConfig } from "../support/config.ts";
import { ask, chat } from "../support/http-client.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const upstream = await Upstream.start();
after(() => upstream.stop());

interface Listed {
  readonly route: string;
  readonly metric: string;
  readonly count: number;
}

async function launch(context: TestContext, changes: Partial<ConfigForm> & { readonly histograms?: object } = {}) {
  const sluice = await Sluice.start(upstream, changes);
  context.after(() => sluice.remove());
  return sluice;
}

/** Counts by metric of one route. */
async function countsOf(sluice: Sluice, route: string): Promise<Record<string, number>> {
  const response = await fetch(`${sluice.adminUrl}/histograms?route=${encodeURIComponent(route)}`);
  const { histograms }: { histograms: Listed[] } = (await response.json()) as never;
  return Object.fromEntries(histograms.map(({ metric, count }) => [metric, count]));
}

/** Counts by tag in all logs on disk. */
function logged(sluice: Sluice): Record<string, number> {
  const folder = join(sluice.dataDir, "hdr");
  const counts: Record<string, number> = {};
  const intervals = readdirSync(folder).flatMap((name) => [...readHlog(join(folder, name), failOn)]);
  for (const { tag, histogram } of intervals) counts[tag] = (counts[tag] ?? 0) + histogram.totalCount;
  return counts;
}

function failOn(message: string): void {
  throw new Error(message);
}

async function end(sluice: Sluice): Promise<void> {
  sluice.signal("SIGTERM");
  strictEqual(await sluice.end(), 0, sluice.log);
}

async function askMany(sluice: Sluice, model: string, whole: number, streams: number): Promise<void> {
  const bodies = Array.from({ length: whole + streams }, (_, i) => ({ model, stream: i < streams, messages: [] }));
  const answers = await Promise.all(bodies.map((body) => chat(sluice, "", body)));
  deepStrictEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
}

const STEPS = ["auth", "recv", "scan", "route", "overhead", "upstream_first_byte", "total"];

function stepsOf(count: number): Record<string, number> {
  return Object.fromEntries(STEPS.map((name) => [name, count]));
}

test("every request of two workers is counted once by its route, on the admin port and on disk", async (context) => {
  const sluice = await launch(context, { workers: 2, histograms: { interval: "150ms" } });
  await askMany(sluice, "gpt-4o", 60, 20);
  await until("an interval is on disk", async () => (await sluice.metric("sluice_histogram_lines_total")) > 0);
  await askMany(sluice, "gpt-4o-mini", 30, 0);
  await ask(sluice, "/chat/completions", { body: { model: "nobody", messages: [] } });
  const { gap = 0, ...counts } = await countsOf(sluice, "gpt-4o");
  deepStrictEqual(counts, { ...stepsOf(80), ttft: 20 });
  deepStrictEqual(await countsOf(sluice, "gpt-4o-mini"), stepsOf(30));
  deepStrictEqual(await countsOf(sluice, "~unrouted"), { auth: 1, recv: 1, scan: 1, total: 1 });
  await end(sluice);
  const onDisk = logged(sluice);
  const route = "gpt-4o/mock/upstream-model-2024";
  for (const name of STEPS) strictEqual(onDisk[`${route}/${name}`], 80, name);
  strictEqual(onDisk[`${route}/ttft`], 20);
  strictEqual(onDisk[`${route}/gap`] ?? 0, gap);
  strictEqual(onDisk["gpt-4o-mini/mock/gpt-4o-mini/total"], 30);
  strictEqual(onDisk["~unrouted/total"], 1);
});

test("a killed worker loses no count of a finished request, on disk neither", async (context) => {
  const sluice = await launch(context, { workers: 1, histograms: { interval: "1h" } });
  await askMany(sluice, "gpt-4o", 25, 0);
  for (const pid of sluice.workerPids()) process.kill(pid, "SIGKILL");
  await until("another worker serves", async () => (await chat(sluice).catch(() => null))?.status === 200);
  strictEqual((await countsOf(sluice, "gpt-4o"))["total"], 26);
  await end(sluice);
  strictEqual(logged(sluice)["gpt-4o/mock/upstream-model-2024/total"], 26);
});

test("a route that a reload adds has histograms of its own, and the others go on", async (context) => {
  const sluice = await launch(context);
  await askMany(sluice, "gpt-4o", 3, 0);
  const { models, ...form } = standardConfig(upstream);
  await sluice.configure({ ...form, models: { added: { provider: "mock" }, ...models } });
  sluice.signal("SIGHUP");
  await until("the reload is in force", () => sluice.log.includes("configuration reloaded"));
  await askMany(sluice, "added", 2, 0);
  await askMany(sluice, "gpt-4o", 1, 0);
  deepStrictEqual(await countsOf(sluice, "added"), stepsOf(2));
  deepStrictEqual(await countsOf(sluice, "gpt-4o"), stepsOf(4));
  await end(sluice);
});

test("routes beyond the bound are counted together, and that is told", async (context) => {
  const names = Array.from({ length: 70 }, (_, i) => `m${i}`);
  const models = Object.fromEntries(names.map((name) => [name, { provider: "mock" }]));
  const sluice = await launch(context, { models });
  await askMany(sluice, "m0", 1, 0);
  await askMany(sluice, "m69", 2, 0);
  deepStrictEqual(await countsOf(sluice, "~other"), stepsOf(2));
  deepStrictEqual(await countsOf(sluice, "m0"), stepsOf(1));
  strictEqual(await sluice.metric("sluice_histogram_routes_under_other"), 9);
  strictEqual(sluice.log.includes("too many routes"), true);
  await end(sluice);
});
