/**
 * A batch of records on its way from the drain task to another pool thread: a CRC-32 and msgpack. Packed in one pool
 * thread, passed on unread by the supervisor's main thread, unpacked in another pool thread.
 */
import { crc32 } from "node:zlib";
import { Packr } from "msgpackr";
import { CodedError } from "../base/errors.ts";
import { BATCH_BYTES_MAX } from "../base/limits.ts";
import type { DecodedRecord } from "../shm/record-codec.ts";

const CRC_BYTES = 4;
/** Records share one structure: field names travel once per batch, not once per record. */
const packr = new Packr({ useRecords: true, maxSharedStructures: 0 });

/** The batch in an ArrayBuffer of its own (pack() results share one), which can be transferred. */
export function packBatch(records: readonly DecodedRecord[]): Uint8Array<ArrayBuffer> {
  const packed = packr.pack(records);
  const bytes = new Uint8Array(CRC_BYTES + packed.length);
  bytes.set(packed, CRC_BYTES);
  new DataView(bytes.buffer).setUint32(0, crc32(packed));
  return bytes;
}

/** Throws CodedError `batch_invalid` for bytes that packBatch did not make. */
export function unpackBatch(bytes: Uint8Array): DecodedRecord[] {
  const sound = bytes.length > CRC_BYTES && bytes.length <= BATCH_BYTES_MAX;
  const payload = bytes.subarray(CRC_BYTES);
  if (!sound || new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) !== crc32(payload)) {
    throw new CodedError("batch_invalid", `a batch of ${bytes.length} bytes is damaged`);
  }
  return packr.unpack(payload);
}
