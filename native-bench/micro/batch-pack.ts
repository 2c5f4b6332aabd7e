/**
 * What it costs to hand a batch of records to another thread: packBatch and unpackBatch (msgpackr and a CRC) against JSON.
 * Nanoseconds per record.
 */
import assert from "node:assert/strict";
import { DRAIN_BATCH_RECORDS_MAX } from "../../src/base/limits.ts";
import { packBatch, unpackBatch } from "../../src/telemetry/batch.ts";
import { decodedRecord } from "../../test/support/sample-record.ts";
import { compare } from "./contest.ts";

const units = DRAIN_BATCH_RECORDS_MAX;
const records = Array.from({ length: units }, (_, i) => decodedRecord({ seq: i, inputTokens: i, totalUs: i * 997 }));
const packed = packBatch(records);
const text = Buffer.from(JSON.stringify(records));
assert.deepEqual(unpackBatch(packed), JSON.parse(text.toString()));

const bytes = (length: number) => `${Math.round(length / units)} bytes each`;
compare(`pack ${units} records`, `JSON.stringify, ${bytes(text.length)}`, {
  [`packBatch, ${bytes(packed.length)}`]: { call: () => packBatch(records), units },
  [`JSON.stringify, ${bytes(text.length)}`]: { call: () => Buffer.from(JSON.stringify(records)), units },
});
compare(`unpack ${units} records`, "JSON.parse", {
  unpackBatch: { call: () => unpackBatch(packed), units },
  "JSON.parse": { call: () => JSON.parse(text.toString()), units },
});
