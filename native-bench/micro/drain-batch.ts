/**
 * What one record costs the supervisor's pool thread: CPU of drain() without an access log, from the ring into SQLite, and
 * the heap that is left after a burst. Records as a gateway makes them: few keys, models and providers, each request with
 * an id, times and token counts of its own. The database is a new one and grows; filling the ring is outside the clock.
 * `--smoke`: a short run. `--batch N`: records per transaction.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { encodeLabel } from "../../src/base/bytes.ts";
import { DRAIN_BATCH_RECORDS_MAX } from "../../src/base/limits.ts";
import { openRing, type RingWriter } from "../../src/shm/ring.ts";
import { ringsDirectory } from "../../src/shm/ring-file.ts";
import { drain } from "../../src/telemetry/drain.ts";
import type { RequestRecord } from "../../src/telemetry/record.ts";
import { sampleRecord } from "../../test/support/sample-record.ts";
import { median } from "../median.ts";

const { values: options } = parseArgs({
  options: { smoke: { type: "boolean", default: false }, batch: { type: "string", default: "4096" } },
});
const ROUNDS = options.smoke ? 3 : 60;
/** Batches until the code is compiled. */
const WARM_UP_ROUNDS = options.smoke ? 1 : 10;
const BATCH = Math.min(Number(options.batch), DRAIN_BATCH_RECORDS_MAX);
const KEYS = Array.from({ length: 8 }, (_, i) => encodeLabel(`team-${i}-production`, 48));
const MODELS = ["gpt-5-mini", "gpt-5", "claude-sonnet-4-5", "small"].map((name) => encodeLabel(name, 80));
const UPSTREAM_MODELS = ["gpt-5-mini-2025-08-07", "gpt-5", "claude-sonnet-4-5-20250929", "llama"].map((name) =>
  encodeLabel(name, 80),
);
const PROVIDERS = ["openai", "openai", "anthropic", "vllm-eu"].map((name) => encodeLabel(name, 48));

const SAMPLE = sampleRecord();

function pick(blocks: readonly Uint8Array[], i: number): Uint8Array {
  return blocks[i % blocks.length] ?? new Uint8Array();
}

/** The record of request `n`; always the same object, so that making it leaves little for the collector. */
function recordOf(n: number): RequestRecord {
  const model = (n >>> 2) * 7;
  SAMPLE.startedAtMs = 1_770_000_000_000 + n / 20;
  SAMPLE.requestId = `req_0123456789abcdef01234567${(n + 0x10000000).toString(16)}`;
  SAMPLE.inputTokens = 200 + (n % 1_900);
  SAMPLE.outputTokens = 20 + (n % 700);
  SAMPLE.costNanodollars = 10_000 + n;
  SAMPLE.totalUs = 400_000 + n * 7;
  SAMPLE.ttftUs = 100_000 + n;
  SAMPLE.key = pick(KEYS, n * 5);
  SAMPLE.model = pick(MODELS, model);
  SAMPLE.upstreamModel = pick(UPSTREAM_MODELS, model);
  SAMPLE.provider = pick(PROVIDERS, model);
  return SAMPLE;
}

/** CPU microseconds per record of each batch. */
function drainRounds(writer: RingWriter, dataDir: string): number[] {
  const ringPath = join(ringsDirectory(dataDir), "ring-000.map");
  const costs: number[] = [];
  for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round += 1) {
    for (let i = 0; i < BATCH; i += 1) writer.push(recordOf(round * BATCH + i));
    const begin = process.cpuUsage();
    const { records } = drain({ dataDir, ringPath, log: false });
    const { user, system } = process.cpuUsage(begin);
    if (records !== BATCH) throw new Error(`${records} records were drained, ${BATCH} were pushed`);
    costs.push((user + system) / BATCH);
  }
  return costs.slice(WARM_UP_ROUNDS);
}

function main(): void {
  const dataDir = mkdtempSync(join(tmpdir(), "drain-batch-"));
  try {
    const costs = drainRounds(openRing(dataDir).writer, dataDir);
    const mean = costs.reduce((sum, cost) => sum + cost, 0) / costs.length;
    const heapMb = process.memoryUsage().heapTotal / 1e6;
    const report = { batch: BATCH, rounds: costs.length, medianUs: median(costs), meanUs: mean, heapMb };
    console.log(JSON.stringify(report, (_, value) => (typeof value === "number" ? Number(value.toFixed(2)) : value)));
  } finally {
    rmSync(dataDir, { recursive: true });
  }
}

main();
