/**
 * What one record costs a gateway worker: CPU per RingWriter.push and per CountersWriter.recordRequest. Process CPU
 * time of loops over full ring laps; releasing the laps is outside the clock. `--smoke`: a short run.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RING_RECORDS } from "../../src/base/limits.ts";
import { createCounters, openCounters } from "../../src/shm/counters.ts";
import { openRing, RingReader } from "../../src/shm/ring.ts";
import { ringsDirectory } from "../../src/shm/ring-file.ts";
import { sampleRecord } from "../../test/support/sample-record.ts";

const LAPS = process.argv.includes("--smoke") ? 4 : 64;
const record = sampleRecord();

/** CPU nanoseconds per call of `call`, after a warm-up; `between` runs outside the clock. */
function cpuPerCall(call: () => void, between: () => void): number {
  for (let i = 0; i < RING_RECORDS; i += 1) call();
  between();
  let us = 0;
  for (let lap = 0; lap < LAPS; lap += 1) {
    const begin = process.cpuUsage();
    for (let i = 0; i < RING_RECORDS; i += 1) call();
    const spent = process.cpuUsage(begin);
    us += spent.user + spent.system;
    between();
  }
  return (us * 1_000) / (LAPS * RING_RECORDS);
}

function main(): void {
  const dataDir = mkdtempSync(join(tmpdir(), "ring-write-"));
  try {
    createCounters(dataDir);
    const { slot, writer } = openRing(dataDir);
    const reader = new RingReader(join(ringsDirectory(dataDir), "ring-000.map"));
    const counters = openCounters(dataDir, slot);
    let full = 0;
    const push = cpuPerCall(
      () => {
        if (!writer.push(record)) full += 1;
      },
      () => reader.release(reader.writePosition()),
    );
    const count = cpuPerCall(
      () => counters.recordRequest(record),
      () => {},
    );
    const pushes = LAPS * RING_RECORDS;
    console.log(JSON.stringify({ pushes, full, pushNs: Math.round(push), recordRequestNs: Math.round(count) }));
  } finally {
    rmSync(dataDir, { recursive: true });
  }
}

main();
