/**
 * The usage ring: SPSC, one per gateway worker slot, in mapped memory (memory map, writers, readers and the order of the
 * atomic operations in layout.ts). `RingWriter` lives in the gateway worker's only thread, `RingReader` in pool tasks of
 * the supervisor, at most one at a time per ring. Holds always: what is published is whole, and is not overwritten before
 * it is released. Both survive `kill -9` of either side, because positions and records are in the page cache.
 */
import { RING_RECORDS } from "../base/limits.ts";
import { RECORD_BYTES, type RequestRecord } from "../telemetry/record.ts";
import { PAGE_BYTES, RING_AT, type RingForm } from "./layout.ts";
import { type DecodedRecord, decodeRecord, encodeRecord, type RecordViews, recordViews } from "./record-codec.ts";
import { claimRingFile, mapRingFile, mapRingHeader, type RingFile } from "./ring-file.ts";

const WRITE = RING_AT.write / 8;
const RELEASE = RING_AT.release / 8;

/** Byte offset of the slot of the record at `position`, in a ring of this version. */
export function slotAt(position: number): number {
  return PAGE_BYTES + (position % RING_RECORDS) * RECORD_BYTES;
}

export interface OpenRing {
  /** Which ring, and which block of the counters, this process holds until it ends. */
  readonly slot: number;
  readonly writer: RingWriter;
  /** For the log: why an earlier file of this slot was put aside; null: it was not. */
  readonly notice: string | null;
}

/** Claims the first free slot. Throws CodedError when all are taken, or Error when the disk refuses. */
export function openRing(dataDir: string): OpenRing {
  const file = claimRingFile(dataDir);
  return { slot: file.slot, writer: new RingWriter(file), notice: file.notice };
}

export class RingWriter {
  readonly id: string;
  readonly #views: RecordViews;
  readonly #positions: BigInt64Array;
  /** Positions are exact in a double up to 2^53: 28,000 years at 10,000 records a second. */
  #position: number;
  /** The release position when it was last looked at: the reader's cache line is touched once per lap, not per record. */
  #released: number;

  constructor(file: RingFile) {
    this.id = file.id;
    this.#views = recordViews(file.mapping);
    this.#positions = new BigInt64Array(file.mapping, 0, PAGE_BYTES / 8);
    this.#position = Number(Atomics.load(this.#positions, WRITE));
    this.#released = Number(Atomics.load(this.#positions, RELEASE));
  }

  /** Publishes a record; false: the ring is full and nothing was written. Never blocks, never throws. */
  push(record: RequestRecord): boolean {
    if (this.#position - this.#released >= RING_RECORDS && this.#isFull()) return false;
    encodeRecord(this.#views, slotAt(this.#position), record, this.#position);
    this.#position += 1;
    Atomics.store(this.#positions, WRITE, BigInt(this.#position));
    return true;
  }

  #isFull(): boolean {
    this.#released = Number(Atomics.load(this.#positions, RELEASE));
    return this.#position - this.#released >= RING_RECORDS;
  }
}

export interface RingBatch {
  readonly records: DecodedRecord[];
  /** Where the next read begins. */
  readonly end: number;
  /** Positions whose bytes were not a whole record: skipped. */
  readonly torn: number;
}

export class RingReader {
  readonly id: string;
  /** Of its version, which may be that of the release before this one. */
  readonly form: RingForm;
  readonly #views: RecordViews;
  readonly #positions: BigInt64Array;

  /** Throws CodedError `ring_invalid` when the file is not a ring. */
  constructor(path: string) {
    const file = mapRingFile(path);
    this.id = file.id;
    this.form = file.form;
    this.#views = recordViews(file.mapping);
    this.#positions = new BigInt64Array(file.mapping, 0, PAGE_BYTES / 8);
  }

  writePosition(): number {
    return Number(Atomics.load(this.#positions, WRITE));
  }

  releasePosition(): number {
    return Number(Atomics.load(this.#positions, RELEASE));
  }

  /** At most `max` records from position `from` on, which must not be released yet. */
  read(from: number, max: number): RingBatch {
    const end = Math.min(this.writePosition(), from + max);
    const records: DecodedRecord[] = [];
    const { form } = this;
    for (let position = from; position < end; position += 1) {
      const at = PAGE_BYTES + (position % form.records) * form.recordBytes;
      const record = decodeRecord(this.#views, at, position, form);
      if (record !== null) records.push(record);
    }
    return { records, end: Math.max(end, from), torn: Math.max(end - from, 0) - records.length };
  }

  /** Gives the slots before `position` back to the writer. Only ever moves forward, and never past what was written. */
  release(position: number): void {
    if (position <= this.releasePosition() || position > this.writePosition()) return;
    Atomics.store(this.#positions, RELEASE, BigInt(position));
  }
}

/** Maps the header page only: how full a ring is, for the supervisor's main thread, without a look at any record. */
export class RingGauge {
  readonly #positions: BigInt64Array;

  /** Throws CodedError `ring_invalid` when the file is not a ring. */
  constructor(path: string) {
    this.#positions = new BigInt64Array(mapRingHeader(path));
  }

  /** Records that are published and not released. */
  held(): number {
    return Number(Atomics.load(this.#positions, WRITE) - Atomics.load(this.#positions, RELEASE));
  }
}
