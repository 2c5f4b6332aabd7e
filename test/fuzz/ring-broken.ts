/** Ring writers that are wrong in one way each: the fuzz rigs must catch them, or they prove nothing. */
import { RING_RECORDS } from "../../src/base/limits.ts";
import { RING_AT } from "../../src/shm/layout.ts";
import { encodeRecord, recordViews } from "../../src/shm/record-codec.ts";
import { RingWriter, slotAt } from "../../src/shm/ring.ts";
import type { RingFile } from "../../src/shm/ring-file.ts";
import type { RequestRecord } from "../../src/telemetry/record.ts";
import type { Writer } from "./ring-model.ts";

function positionsOf(file: RingFile): BigInt64Array {
  return new BigInt64Array(file.mapping, 0, 64);
}

/** Publishes a record before it writes it: the record is only there with the next push. */
export function publishesFirst(file: RingFile): Writer {
  const positions = positionsOf(file);
  const views = recordViews(file.mapping);
  let late = () => {};
  return {
    push(record: RequestRecord): boolean {
      late();
      const position = Number(Atomics.load(positions, RING_AT.write / 8));
      if (position - Number(Atomics.load(positions, RING_AT.release / 8)) >= RING_RECORDS) return false;
      Atomics.store(positions, RING_AT.write / 8, BigInt(position + 1));
      const copy = { ...record };
      late = () => encodeRecord(views, slotAt(position), copy, position);
      return true;
    },
  };
}

/** Overwrites the oldest record when the ring is full. */
export function ignoresFull(file: RingFile): Writer {
  const positions = positionsOf(file);
  const views = recordViews(file.mapping);
  return {
    push(record: RequestRecord): boolean {
      const position = Number(Atomics.load(positions, RING_AT.write / 8));
      encodeRecord(views, slotAt(position), record, position);
      Atomics.store(positions, RING_AT.write / 8, BigInt(position + 1));
      return true;
    },
  };
}

/** Keeps its position in 32 bits. */
export function wrapsAt32Bits(file: RingFile): Writer {
  const positions = positionsOf(file);
  const views = recordViews(file.mapping);
  const real = new RingWriter(file);
  return {
    push(record: RequestRecord): boolean {
      if (!real.push(record)) return false;
      const position = Number(Atomics.load(positions, RING_AT.write / 8)) - 1;
      encodeRecord(views, slotAt(position), record, position >>> 0);
      return true;
    },
  };
}
