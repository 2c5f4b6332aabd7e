/**
 * The names of models that were asked for lately, as strings: making one out of a body's bytes costs 150 ns, and its first look-up
 * in a table hashes it. Gateway worker; one for all requests. Bounded: names share SLOTS places, and the later one stays.
 */

/** A power of two; a gateway has a few dozen models in use at a time. */
const SLOTS = 256;
/** A name that is longer is not kept. */
const KEPT_BYTES_MAX = 64;
const PRIME = 0x01000193;
const NOT_ASCII = 0x80;

export class ModelNames {
  readonly #names: string[] = Array(SLOTS).fill("");

  /** The text of the bytes [start, end). */
  read(bytes: Buffer, start: number, end: number): string {
    if (end - start > KEPT_BYTES_MAX) return bytes.toString("utf8", start, end);
    const slot = slotOf(bytes, start, end);
    const name = this.#names[slot] ?? "";
    if (isNamed(name, bytes, start, end)) return name;
    const made = bytes.toString("utf8", start, end);
    // Only then a character is a byte, and the bytes can be compared with the text.
    if (isAscii(bytes, start, end)) this.#names[slot] = made;
    return made;
  }
}

function slotOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start;
  for (let i = start; i < end; i += 1) hash = Math.imul(hash ^ (bytes[i] ?? 0), PRIME);
  return (hash ^ (hash >>> 15)) & (SLOTS - 1);
}

function isNamed(name: string, bytes: Uint8Array, start: number, end: number): boolean {
  if (name.length !== end - start) return false;
  for (let i = 0; i < name.length; i += 1) if (name.charCodeAt(i) !== bytes[start + i]) return false;
  return true;
}

function isAscii(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i += 1) if ((bytes[i] ?? NOT_ASCII) >= NOT_ASCII) return false;
  return true;
}
