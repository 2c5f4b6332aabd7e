/**
 * Pool task: moves one batch of records from one ring into the store, then gives their slots back to the worker. Runs in
 * a pool thread of the supervisor; the database and the mappings are kept for the next task of the thread. Holds always:
 * slots are released only after the commit that contains their records (sinks/store.ts says why that is exactly once).
 */
import { rmSync, statSync } from "node:fs";
import { move, transferableSymbol, valueSymbol } from "piscina";
import { DRAIN_BATCH_RECORDS_MAX, RING_RECORDS } from "../base/limits.ts";
import { RingReader } from "../shm/ring.ts";
import { isLeftRing } from "../shm/ring-file.ts";
import { packBatch } from "./batch.ts";
import type { RollupRow } from "./rollup.ts";
import type { Outcome } from "./sinks/sink.ts";
import { Store } from "./sinks/store.ts";

export interface DrainTask {
  readonly dataDir: string;
  readonly ringPath: string;
  /** Whether the records are wanted for the access log. */
  readonly log: boolean;
}

export interface DrainResult {
  /** Records committed. */
  readonly records: number;
  /** Positions that held no whole record: skipped. */
  readonly torn: number;
  /** Records that are in the ring still. */
  readonly remaining: number;
  /** Why nothing was committed; null: it was. */
  readonly heldReason: string | null;
  readonly rollup: readonly RollupRow[];
  /** packBatch() of the records; null: not wanted, or there are none. */
  readonly batch: Uint8Array<ArrayBuffer> | null;
}

interface OpenRing {
  readonly ino: number;
  readonly reader: RingReader;
}

let store: { readonly dataDir: string; readonly sink: Store } | null = null;
const rings = new Map<string, OpenRing>();

/** What piscina calls: the result, with the batch moved instead of copied. */
export default function drainTask(task: DrainTask): unknown {
  const result = drain(task);
  if (result.batch === null) return result;
  return move({ [transferableSymbol]: result.batch.buffer, [valueSymbol]: result });
}

export function drain(task: DrainTask): DrainResult {
  const sink = openStore(task.dataDir);
  const reader = openReader(task.ringPath);
  const left = isLeftRing(task.ringPath);
  const committed = sink.position(reader.id);
  const from = firstPosition(reader, committed, left);
  const { records, end, torn } = reader.read(from, DRAIN_BATCH_RECORDS_MAX);
  const batch = { ringId: reader.id, committed, end, torn, records };
  const outcome: Outcome = end === from ? { kind: "written" } : sink.write(batch);
  if (outcome.kind !== "written") return heldResult(reader.writePosition() - from, outcome.reason);
  reader.release(end);
  const remaining = Math.max(reader.writePosition() - end, 0);
  if (left && remaining === 0) removeRing(task.ringPath);
  return {
    records: records.length,
    torn,
    remaining,
    heldReason: null,
    rollup: records.length > 0 ? sink.rollup() : [],
    batch: task.log && records.length > 0 ? packBatch(records) : null,
  };
}

/**
 * The store says where to go on; the ring only when the store does not know it, or has forgotten (a deleted database).
 * In a ring left by an earlier boot released slots were not overwritten by anyone since, so a store that lost its last
 * commits in the power cut gets them again.
 */
function firstPosition(reader: RingReader, committed: number | null, left: boolean): number {
  const released = reader.releasePosition();
  if (left) return Math.max(committed ?? released, reader.writePosition() - RING_RECORDS);
  return Math.max(committed ?? 0, released);
}

function heldResult(remaining: number, reason: string): DrainResult {
  return { records: 0, torn: 0, remaining, heldReason: reason, rollup: [], batch: null };
}

function openStore(dataDir: string): Store {
  if (store?.dataDir === dataDir) return store.sink;
  store?.sink.close();
  store = null;
  store = { dataDir, sink: new Store(dataDir) };
  return store.sink;
}

/** A worker may have put the file aside and made a new one since the last task: the inode tells. */
function openReader(path: string): RingReader {
  const { ino } = statSync(path);
  const open = rings.get(path);
  if (open?.ino === ino) return open.reader;
  const reader = new RingReader(path);
  rings.set(path, { ino, reader });
  return reader;
}

function removeRing(path: string): void {
  rings.delete(path);
  rmSync(path, { force: true });
}
