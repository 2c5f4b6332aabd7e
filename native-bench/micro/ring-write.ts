/**
 * What one record costs a gateway worker: into its ring and into its counters, against a copy of it as for a message to
 * another thread. The ring is emptied outside the clock.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RING_RECORDS } from "../../src/base/limits.ts";
import { createCounters, openCounters } from "../../src/shm/counters.ts";
import { openRing, RingReader } from "../../src/shm/ring.ts";
import { ringsDirectory } from "../../src/shm/ring-file.ts";
import { sampleRecord } from "../../test/support/sample-record.ts";
import { compare } from "./contest.ts";

const dataDir = mkdtempSync(join(tmpdir(), "ring-write-"));
process.once("exit", () => rmSync(dataDir, { recursive: true }));
createCounters(dataDir);
const { slot, writer } = openRing(dataDir);
const reader = new RingReader(join(ringsDirectory(dataDir), "ring-000.map"));
const counters = openCounters(dataDir, slot);
const record = sampleRecord();

function push(): void {
  if (!writer.push(record)) throw new Error("the ring is full");
}

compare("a record", "structuredClone", {
  "into the ring": { call: push, before: () => reader.release(reader.writePosition()), callsMax: RING_RECORDS },
  "into the counters": () => counters.recordRequest(record),
  structuredClone: () => structuredClone(record),
});
