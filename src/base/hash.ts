/** Hashes of 32 bits for sharing out: fast and even, and no secret. Leaf; any thread; allocates nothing. */

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** FNV-1a over UTF-16 code units, mixed. */
export function textHash(text: string): number {
  return partHash(text, 0, text.length);
}

/** The same of the part of a text from `from` to `end`. */
export function partHash(text: string, from: number, end: number): number {
  let hash = FNV_OFFSET;
  for (let i = from; i < end; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME);
  return mixed(hash);
}

/** The end of MurmurHash3: each bit of the result depends on each bit of `value`. Unsigned. */
export function mixed(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
