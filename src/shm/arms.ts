/**
 * The map of arms: what all workers know together of the arms of models, those of canaries among them. The supervisor gives each arm of the
 * configuration a slot, workers count in it, the supervisor reads, and rolls a canary back. Kept over reloads, restarts and stops,
 * because a canary that was rolled back stays that until its configuration is another one.
 *
 * <dataDir>/arms.map, little-endian
 *
 *        0  magic u32     4 version u32
 *     4096  slot 0: ARM_WORDS words of 32 bits     5440 slot 1 ...     ARMS_MAX slots
 *
 *   A slot:  0  whose it is, i64: 8 bytes of the SHA-256 of its name; 0: nobody's. Written by the supervisor, before workers know of it
 *            8  gate i32: 1 when it is rolled back                                            written by the supervisor
 *           12  requests i32    16 of them judged i32    20 of those failed i32              added to by workers
 *           32  ARM_LATENCIES counts i32: how long judged answers took to begin               added to by workers
 *
 *   Counts are added to atomically, and only ever grow, modulo 2^32: a window is what is there now minus what was there when it began. They
 *   mean nothing to each other, so a reader may see one of a request and not yet the next. The slot of an arm that no configuration has any more is
 *   given to another one only when there is no empty one; what a request that is as old then still counts in it is the new one's.
 */
import { createHash } from "node:crypto";
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CodedError } from "../base/errors.ts";
import { ARM_WORDS, ARMS_MAX } from "../base/limits.ts";
import { native } from "../native/native.ts";
import { PAGE_BYTES } from "./layout.ts";

/** "SLAR" */
const MAGIC = 0x52414c53;
const VERSION = 1;
/** Per doubling of a duration, so that neighbours differ by 4 %; from one millisecond on. */
const STEPS = 16;
const DOUBLINGS = 20;
export const ARM_LATENCIES = STEPS * DOUBLINGS;

/** Words of a slot. */
export const ARM_AT = { gate: 2, requests: 3, judged: 4, failed: 5, latencies: 8 } as const;
const SLOT_BYTES = ARM_WORDS * 4;
const BYTES = PAGE_BYTES + ARMS_MAX * SLOT_BYTES;

/** Index of the count for a duration. */
export function armLatencyOf(ms: number): number {
  return ms > 1 ? Math.min(Math.floor(Math.log2(ms) * STEPS), ARM_LATENCIES - 1) : 0;
}

/** The shortest duration with this index, milliseconds; that of the next one is the bound above it. */
export function armLatencyMs(index: number): number {
  return index === 0 ? 0 : 2 ** (index / STEPS);
}

export class ArmsMap {
  readonly #keys: BigInt64Array;
  readonly #words: Int32Array;

  constructor(mapping: ArrayBuffer) {
    this.#keys = new BigInt64Array(mapping, PAGE_BYTES);
    this.#words = new Int32Array(mapping, PAGE_BYTES);
  }

  /** The words of a slot. */
  slot(number: number): Int32Array {
    return this.#words.subarray(number * ARM_WORDS, (number + 1) * ARM_WORDS);
  }

  /** Of arms by their keys: the words of their slots. One that has none counts for itself. */
  wordsOf(slots: ReadonlyMap<string, number>): (key: string) => Int32Array {
    return (key) => {
      const slot = slots.get(key);
      return slot === undefined ? new Int32Array(ARM_WORDS) : this.slot(slot);
    };
  }

  /** Supervisor: the slots of all arms that there are, ARMS_MAX at most. An arm that has one keeps it. */
  number(names: readonly string[]): Map<string, number> {
    // Looking at all slots would make the whole file a part of this process's memory.
    if (names.length === 0) return new Map();
    const wanted = new Map(names.slice(0, ARMS_MAX).map((name) => [keyOf(name), name]));
    const found = new Map<string, number>();
    const free: number[] = [];
    for (let slot = 0; slot < ARMS_MAX; slot += 1) {
      const key = this.#keyAt(slot);
      const name = wanted.get(key);
      if (name === undefined) free.push(slot);
      else found.set(name, slot);
    }
    // Empty ones first.
    free.sort((a, b) => Number(this.#keyAt(a) !== 0n) - Number(this.#keyAt(b) !== 0n));
    for (const [key, name] of wanted) {
      const slot = found.has(name) ? undefined : free.shift();
      if (slot === undefined) continue;
      this.slot(slot).fill(0);
      this.#keys[(slot * SLOT_BYTES) / 8] = key;
      found.set(name, slot);
    }
    return found;
  }

  #keyAt(slot: number): bigint {
    return this.#keys[(slot * SLOT_BYTES) / 8] ?? 0n;
  }
}

function keyOf(name: string): bigint {
  const key = createHash("sha256").update(name).digest().readBigInt64LE();
  return key === 0n ? 1n : key;
}

function pathIn(dataDir: string): string {
  return join(dataDir, "arms.map");
}

function isSound(mapping: ArrayBuffer): boolean {
  const header = new DataView(mapping);
  return header.getUint32(0, true) === MAGIC && header.getUint32(4, true) === VERSION;
}

/** Supervisor, at start. What is there goes on; of another layout, it is left to those who use it, and made anew. */
export function prepareArms(dataDir: string): ArmsMap {
  const path = pathIn(dataDir);
  try {
    const former = native.mapFile(path, BYTES);
    if (isSound(former)) return new ArmsMap(former);
    rmSync(`${path}.new`, { force: true });
    const mapping = native.mapFile(`${path}.new`, BYTES);
    const header = new DataView(mapping);
    header.setUint32(0, MAGIC, true);
    header.setUint32(4, VERSION, true);
    renameSync(`${path}.new`, path);
    return new ArmsMap(mapping);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `The data directory (setting 'data_dir') cannot be used: ${reason}`;
    throw new CodedError("data_dir_unusable", message, cause);
  }
}

/** Gateway worker. Throws CodedError `arms_invalid`. */
export function openArms(dataDir: string): ArmsMap {
  const mapping = native.mapFile(pathIn(dataDir), BYTES);
  if (isSound(mapping)) return new ArmsMap(mapping);
  throw new CodedError("arms_invalid", `${pathIn(dataDir)} was not made by this version's supervisor`);
}
