/**
 * A mapped file of slots, one for each target that routes choose among, and for what else has a name: what all workers know of it together.
 * The supervisor makes the file anew when the gateway starts, and keeps it over a restart that takes over, so that both generations share
 * it; reloads change nothing.
 *
 * <dataDir>/NAME.map, little-endian
 *
 *        0  magic u32     4 version u32
 *       64  a bit for each slot that has a name
 *     1024  what those who own the file keep of it as a whole
 *     4096  slot 0     then slot 1 ...     TARGET_SLOTS_MAX slots of whole cache lines
 *
 *   A slot begins with whose it is, i64: 8 bytes of the SHA-256 of its name; 0: nobody's yet. Set once, by compareExchange. The rest are
 *   words that those who own the file name (breakers.ts, targets.ts, in-flight.ts). A name has the first slot from its hash on that is its
 *   own or nobody's. Its bit is there before the caller has it: so all words that anybody wrote can be found, and no other pages are touched.
 */
import { createHash } from "node:crypto";
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CodedError } from "../base/errors.ts";
import { TARGET_SLOTS_MAX } from "../base/limits.ts";
import { native } from "../native/native.ts";
import { PAGE_BYTES } from "./layout.ts";

const WORD_BYTES = 4;
const WORD_BITS = 32;
/** Words of the header. */
const NAMED = 16;
const NAMED_WORDS = TARGET_SLOTS_MAX / WORD_BITS;
const OWN = 256;

/** What one such file is. */
export interface SlotsForm {
  readonly name: string;
  readonly magic: number;
  readonly version: number;
  /** Of a slot; a multiple of 16, which is a cache line. */
  readonly words: number;
}

export class SlotsMap {
  readonly #keys: BigInt64Array;
  readonly #words: Int32Array;
  readonly #slotWords: number;
  readonly #named: Int32Array;
  /** What those who own the file keep of it as a whole. */
  readonly header: Int32Array;

  constructor(mapping: ArrayBuffer, { words }: SlotsForm) {
    const page = new Int32Array(mapping, 0, PAGE_BYTES / WORD_BYTES);
    this.#named = page.subarray(NAMED, NAMED + NAMED_WORDS);
    this.header = page.subarray(OWN);
    this.#keys = new BigInt64Array(mapping, PAGE_BYTES);
    this.#words = new Int32Array(mapping, PAGE_BYTES);
    this.#slotWords = words;
  }

  /** The slot of this name. Where there is no room for it, it is the caller's own. */
  slotOf(name: string): Int32Array {
    const key = keyOf(name);
    const words = this.#slotWords;
    const low = Number(BigInt.asIntN(32, key));
    const first = (low >>> 0) % TARGET_SLOTS_MAX;
    for (let i = 0; i < TARGET_SLOTS_MAX; i += 1) {
      const number = (first + i) % TARGET_SLOTS_MAX;
      // A name is never changed: where another one is, there is no need to ask exactly, which takes ten times as long.
      const seen = this.#words[number * words] ?? 0;
      if (seen !== 0 && seen !== low) continue;
      const owner = Atomics.compareExchange(this.#keys, (number * words) / 2, 0n, key);
      if (owner !== 0n && owner !== key) continue;
      Atomics.or(this.#named, Math.floor(number / WORD_BITS), 1 << (number % WORD_BITS));
      return this.#slot(number);
    }
    return new Int32Array(words);
  }

  /** All slots that have a name. */
  *named(): Generator<Int32Array> {
    for (let number = 0; number < TARGET_SLOTS_MAX; number += 1) {
      const bits = Atomics.load(this.#named, Math.floor(number / WORD_BITS));
      if ((bits & (1 << (number % WORD_BITS))) !== 0) yield this.#slot(number);
    }
  }

  #slot(number: number): Int32Array {
    const at = number * this.#slotWords;
    return this.#words.subarray(at, at + this.#slotWords);
  }
}

function keyOf(name: string): bigint {
  const key = createHash("sha256").update(name).digest().readBigInt64LE();
  return key === 0n ? 1n : key;
}

function pathIn(dataDir: string, { name }: SlotsForm): string {
  return join(dataDir, `${name}.map`);
}

function bytesOf({ words }: SlotsForm): number {
  return PAGE_BYTES + TARGET_SLOTS_MAX * words * WORD_BYTES;
}

function isSound(mapping: ArrayBuffer, { magic, version }: SlotsForm): boolean {
  const header = new DataView(mapping);
  return header.getUint32(0, true) === magic && header.getUint32(4, true) === version;
}

/** Supervisor, at start. `goesOn`: workers of the program before use what is there; of another layout, it is left to them. */
export function prepareSlots(dataDir: string, form: SlotsForm, goesOn: boolean): SlotsMap {
  const path = pathIn(dataDir, form);
  try {
    const former = goesOn ? native.mapFile(path, bytesOf(form)) : null;
    if (former !== null && isSound(former, form)) return new SlotsMap(former, form);
    rmSync(`${path}.new`, { force: true });
    const mapping = native.mapFile(`${path}.new`, bytesOf(form));
    const header = new DataView(mapping);
    header.setUint32(0, form.magic, true);
    header.setUint32(4, form.version, true);
    renameSync(`${path}.new`, path);
    return new SlotsMap(mapping, form);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `The data directory (setting 'data_dir') cannot be used: ${reason}`;
    throw new CodedError("data_dir_unusable", message, cause);
  }
}

/** Gateway worker. Throws CodedError with `code`. */
export function openSlots(dataDir: string, form: SlotsForm, code: string): SlotsMap {
  const mapping = native.mapFile(pathIn(dataDir, form), bytesOf(form));
  if (isSound(mapping, form)) return new SlotsMap(mapping, form);
  throw new CodedError(code, `${pathIn(dataDir, form)} was not made by this version's supervisor`);
}
