/** Damages bytes in the ways that break parsers: flips, cuts, structural bytes, escapes, half a UTF-8 sequence. Pure. */
import type { Random } from "./random.ts";

const INSERTS = [
  ...'{}[]:,"\\ \n\r\t\0/-+.eE019tfn',
  "\\u",
  "\\u12",
  "\\x",
  '\\"',
  '"\\"',
  ",,",
  ",}",
  ",]",
  '"model":"evil",',
  '"stream":1,',
  "null",
  "NaN",
  "\u2028",
  "\ufeff",
  "\u000b",
  "\u007f",
].map((text) => Buffer.from(text));
const BAD_UTF8 = ["c0af", "80", "eda080", "f4908080", "e28280e2", "ff", "c3", "efbbbf"].map((hex) =>
  Buffer.from(hex, "hex"),
);

/** A copy of `bytes` with one to three faults; `inserts`: what a grammar has besides plain text. */
export function mutate(random: Random, bytes: Buffer, inserts: readonly Buffer[] = INSERTS): Buffer {
  let mutant = bytes;
  for (let faults = 1 + random.below(3); faults > 0; faults -= 1) mutant = mutateOnce(random, mutant, inserts);
  return mutant;
}

function mutateOnce(random: Random, bytes: Buffer, inserts: readonly Buffer[]): Buffer {
  const at = random.below(bytes.length + 1);
  switch (random.below(7)) {
    case 0:
      return flip(random, bytes);
    case 1:
      return bytes.subarray(0, at);
    case 2:
      return splice(bytes, at, 1 + random.below(3), Buffer.alloc(0));
    case 3:
      return splice(bytes, at, 0, random.pick(BAD_UTF8));
    case 4:
      return splice(bytes, at, 0, bytes.subarray(random.below(bytes.length + 1)).subarray(0, 40));
    case 5:
      return splice(bytes, at, 1, random.pick(inserts));
    default:
      return splice(bytes, at, 0, random.pick(inserts));
  }
}

function flip(random: Random, bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  if (copy.length === 0) return copy;
  const at = random.below(copy.length);
  copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
  return copy;
}

function splice(bytes: Buffer, at: number, removed: number, inserted: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at + removed)]);
}
