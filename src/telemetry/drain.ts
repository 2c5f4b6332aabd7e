/**
 * Pool task: moves one batch of records from one ring into the store, then gives their slots back to the worker. Runs in
 * a pool thread of the supervisor; the database and the mappings are kept for the next task of the thread. Holds always:
 * slots are released only after the commit that contains their records (sinks/store.ts says why that is exactly once).
 */
import { rmSync, statSync } from "node:fs";
import { move, transferableSymbol, valueSymbol } from "piscina";
import { DRAIN_BATCH_RECORDS_MAX } from "../base/limits.ts";
import { requireSameProgram } from "../base/program.ts";
import type { DecodedRecord } from "../shm/record-codec.ts";
import { RingReader } from "../shm/ring.ts";
import { isLeftRing } from "../shm/ring-file.ts";
import { packBatch } from "./batch.ts";
import type { RollupRow } from "./rollup.ts";
import type { Outcome } from "./sinks/sink.ts";
import { NOTHING_WRITTEN, Store } from "./sinks/store.ts";
// The other tasks of this thread: once it runs it loads nothing more, because an upgrade may have begun.
import "./access-log.ts";
import "./latency/task.ts";

requireSameProgram();

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

/** Records decoded at a time: the young generation is collected with few of them alive. */
const PORTION_RECORDS = 128;
const NOTHING_TO_WRITE: Outcome = { kind: "written" };

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
  const end = Math.max(from, Math.min(reader.writePosition(), from + DRAIN_BATCH_RECORDS_MAX));
  const logged: DecodedRecord[] = [];
  const portions = portionsOf(reader, from, end, task.log ? logged : null);
  const outcome = end === from ? NOTHING_TO_WRITE : sink.write({ ringId: reader.id, committed, end, portions });
  if (outcome.kind !== "written") return heldResult(reader.writePosition() - from, outcome.reason);
  reader.release(end);
  const remaining = Math.max(reader.writePosition() - end, 0);
  if (left && remaining === 0) removeRing(task.ringPath);
  const written = end === from ? NOTHING_WRITTEN : sink.written();
  return { ...written, remaining, heldReason: null, batch: logged.length > 0 ? packBatch(logged) : null };
}

/** Reads as the store writes; the records that the access log wants are kept in `logged`. */
function* portionsOf(reader: RingReader, from: number, end: number, logged: DecodedRecord[] | null) {
  for (let at = from; at < end; at += PORTION_RECORDS) {
    const portion = reader.read(at, Math.min(PORTION_RECORDS, end - at));
    logged?.push(...portion.records);
    yield portion;
  }
}

/**
 * The store says where to go on; the ring only when the store does not know it, or has forgotten (a deleted database).
 * In a ring left by an earlier boot released slots were not overwritten by anyone since, so a store that lost its last
 * commits in the power cut gets them again.
 */
function firstPosition(reader: RingReader, committed: number | null, left: boolean): number {
  const released = reader.releasePosition();
  if (left) return Math.max(committed ?? released, reader.writePosition() - reader.form.records);
  return Math.max(committed ?? 0, released);
}

function heldResult(remaining: number, reason: string): DrainResult {
  return { ...NOTHING_WRITTEN, remaining, heldReason: reason, batch: null };
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
