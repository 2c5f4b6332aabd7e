/**
 * What it costs to hand a batch of records to another thread: packBatch and unpackBatch (msgpackr and a CRC) against JSON.
 * CPU nanoseconds and bytes per record. `--smoke`: a short run.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DRAIN_BATCH_RECORDS_MAX } from "../../src/base/limits.ts";
import type { DecodedRecord } from "../../src/shm/record-codec.ts";
import { openRing, RingReader } from "../../src/shm/ring.ts";
import { ringsDirectory } from "../../src/shm/ring-file.ts";
import { packBatch, unpackBatch } from "../../src/telemetry/batch.ts";
import { sampleRecord } from "../../test/support/sample-record.ts";

const ROUNDS = process.argv.includes("--smoke") ? 3 : 60;

function decodedBatch(): DecodedRecord[] {
  const dataDir = mkdtempSync(join(tmpdir(), "batch-pack-"));
  try {
    const { writer } = openRing(dataDir);
    for (let i = 0; i < DRAIN_BATCH_RECORDS_MAX; i += 1)
      writer.push(sampleRecord({ inputTokens: i, totalUs: i * 997 }));
    return new RingReader(join(ringsDirectory(dataDir), "ring-000.map")).read(0, DRAIN_BATCH_RECORDS_MAX).records;
  } finally {
    rmSync(dataDir, { recursive: true });
  }
}

function nsPerRecord(work: () => void): number {
  work();
  const begin = process.cpuUsage();
  for (let round = 0; round < ROUNDS; round += 1) work();
  const { user, system } = process.cpuUsage(begin);
  return Math.round(((user + system) * 1_000) / (ROUNDS * DRAIN_BATCH_RECORDS_MAX));
}

function main(): void {
  const records = decodedBatch();
  const packed = packBatch(records);
  const text = Buffer.from(JSON.stringify(records));
  const report = {
    records: records.length,
    packNs: nsPerRecord(() => packBatch(records)),
    unpackNs: nsPerRecord(() => unpackBatch(packed)),
    packedBytes: Math.round(packed.length / records.length),
    jsonStringifyNs: nsPerRecord(() => Buffer.from(JSON.stringify(records))),
    jsonParseNs: nsPerRecord(() => JSON.parse(text.toString())),
    jsonBytes: Math.round(text.length / records.length),
  };
  console.log(JSON.stringify(report));
}

main();
