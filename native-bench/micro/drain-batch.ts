/**
 * What one record costs the supervisor's pool thread, from the ring into SQLite (no access log), in large batches and in
 * small ones. Records as a gateway makes them: few keys, models and providers, each request with an id, times and token
 * counts of its own. The database is a new one and grows; filling the ring is outside the clock. Nanoseconds per record.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeLabel } from "../../src/base/bytes.ts";
import { DRAIN_BATCH_RECORDS_MAX } from "../../src/base/limits.ts";
import { openRing } from "../../src/shm/ring.ts";
import { ringsDirectory } from "../../src/shm/ring-file.ts";
import { drain } from "../../src/telemetry/drain.ts";
import type { RequestRecord } from "../../src/telemetry/record.ts";
import { sampleRecord } from "../../test/support/sample-record.ts";
import { type Contestant, compare } from "./contest.ts";

const SMALL_BATCH = 64;
const KEYS = Array.from({ length: 8 }, (_, i) => encodeLabel(`team-${i}-production`, 48));
const MODELS = ["gpt-5-mini", "gpt-5", "claude-sonnet-4-5", "small"].map((name) => encodeLabel(name, 80));
const UPSTREAM_MODELS = ["gpt-5-mini-2025-08-07", "gpt-5", "claude-sonnet-4-5-20250929", "llama"].map((name) =>
  encodeLabel(name, 80),
);
const PROVIDERS = ["openai", "openai", "anthropic", "vllm-eu"].map((name) => encodeLabel(name, 48));

const dataDir = mkdtempSync(join(tmpdir(), "drain-batch-"));
process.once("exit", () => rmSync(dataDir, { recursive: true }));
const record = sampleRecord();
let made = 0;

function pick(blocks: readonly Uint8Array[], i: number): Uint8Array {
  return blocks[i % blocks.length] ?? new Uint8Array();
}

/** The next request's record; always the same object, so that making it leaves little for the collector. */
function nextRecord(): RequestRecord {
  made += 1;
  const model = (made >>> 2) * 7;
  record.startedAtMs = 1_770_000_000_000 + made / 20;
  record.requestId = `req_0123456789abcdef01234567${(made + 0x10000000).toString(16)}`;
  record.inputTokens = 200 + (made % 1_900);
  record.outputTokens = 20 + (made % 700);
  record.costNanodollars = 10_000 + made;
  record.totalUs = 400_000 + made * 7;
  record.ttftUs = 100_000 + made;
  record.key = pick(KEYS, made * 5);
  record.model = pick(MODELS, model);
  record.upstreamModel = pick(UPSTREAM_MODELS, model);
  record.provider = pick(PROVIDERS, model);
  return record;
}

/** With a ring of its own. */
function draining(units: number): Contestant {
  const { slot, writer } = openRing(dataDir);
  const ringPath = join(ringsDirectory(dataDir), `ring-${String(slot).padStart(3, "0")}.map`);
  const before = () => {
    for (let i = 0; i < units; i += 1) writer.push(nextRecord());
  };
  const call = () => {
    const { records } = drain({ dataDir, ringPath, log: false });
    if (records !== units) throw new Error(`${records} records were drained, ${units} were pushed`);
  };
  return { call, before, callsMax: 1, units };
}

compare("a record from the ring into the store", `batches of ${SMALL_BATCH}`, {
  [`batches of ${DRAIN_BATCH_RECORDS_MAX}`]: draining(DRAIN_BATCH_RECORDS_MAX),
  [`batches of ${SMALL_BATCH}`]: draining(SMALL_BATCH),
});
