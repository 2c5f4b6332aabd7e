/**
 * The texts of byte strings that were read lately, so that labels that come again and again are made into strings once:
 * making a string takes 100 to 400 ns, finding one 20 ns. Pool tasks only. Bounded: byte strings share SLOTS places by
 * their hash, and the later one stays.
 */

/** A power of two. A gateway has a few hundred keys, models, providers and paths in use at a time. */
const SLOTS = 1_024;
/** The longest label block of a record, in 32-bit words; what is longer is not kept. */
const WORDS_MAX = 20;
const PRIME = 0x9e3779b1;

export class TextCache {
  readonly #textOf: (bytes: Buffer) => string;
  readonly #texts: string[] = Array(SLOTS).fill("");
  /** In bytes; -1: nothing was kept there yet. */
  readonly #lengths = new Int32Array(SLOTS).fill(-1);
  readonly #words = new Uint32Array(SLOTS * WORDS_MAX);

  constructor(textOf: (bytes: Buffer) => string) {
    this.#textOf = textOf;
  }

  /** textOf() the `length` bytes at `at`, a multiple of 4. `u32` and `u8` are the same memory. */
  read(u32: Uint32Array, u8: Buffer, at: number, length: number): string {
    if (length > WORDS_MAX * 4) return this.#textOf(u8.subarray(at, at + length));
    const slot = hashOf(u32, at, length) & (SLOTS - 1);
    if (!this.#holds(slot, u32, at, length)) this.#keep(slot, u32, u8, at, length);
    return this.#texts[slot] ?? "";
  }

  #holds(slot: number, u32: Uint32Array, at: number, length: number): boolean {
    if (this.#lengths[slot] !== length) return false;
    const begin = slot * WORDS_MAX;
    const whole = length >>> 2;
    for (let i = 0; i < whole; i += 1) if (this.#words[begin + i] !== u32[(at >>> 2) + i]) return false;
    return (length & 3) === 0 || this.#words[begin + whole] === lastWord(u32, at, length);
  }

  #keep(slot: number, u32: Uint32Array, u8: Buffer, at: number, length: number): void {
    const begin = slot * WORDS_MAX;
    const whole = length >>> 2;
    for (let i = 0; i < whole; i += 1) this.#words[begin + i] = u32[(at >>> 2) + i] ?? 0;
    if ((length & 3) !== 0) this.#words[begin + whole] = lastWord(u32, at, length);
    this.#lengths[slot] = length;
    this.#texts[slot] = this.#textOf(u8.subarray(at, at + length));
  }
}

function hashOf(u32: Uint32Array, at: number, length: number): number {
  const begin = at >>> 2;
  const end = begin + (length >>> 2);
  let hash = length;
  for (let i = begin; i < end; i += 1) hash = Math.imul(((hash << 13) | (hash >>> 19)) ^ (u32[i] ?? 0), PRIME);
  if ((length & 3) !== 0) hash = Math.imul(hash ^ lastWord(u32, at, length), PRIME);
  return hash ^ (hash >>> 15);
}

/** The bytes behind the last whole word; what follows them in memory is not part of the string. */
function lastWord(u32: Uint32Array, at: number, length: number): number {
  return ((u32[(at + length) >>> 2] ?? 0) & ((1 << (8 * (length & 3))) - 1)) >>> 0;
}
