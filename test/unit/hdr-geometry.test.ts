/** The index of a duration's count, against HdrHistogram's own definition in integers. */
import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { HDR_COUNTS, HDR_MAX_NS, hdrIndexOf } from "../../src/base/hdr-geometry.ts";

const HALF = 1_024n;

/** HdrHistogram: bucket index * half of the sub-buckets + sub-bucket index. */
function expectedIndex(ns: bigint): number {
  let [bucket, part] = [0n, ns];
  while (part >= 2n * HALF) {
    bucket += 1n;
    part >>= 1n;
  }
  return Number(bucket * HALF + part);
}

const EDGES: [string, number, number][] = [
  ["NaN", Number.NaN, 0],
  ["a negative value", -1, 0],
  ["zero", 0, 0],
  ["a part of a nanosecond", 0.9, 0],
  ["1,023.9", 1_023.9, 1_023],
  ["1,024", 1_024, 1_024],
  ["2,047.9", 2_047.9, 2_047],
  ["2,048", 2_048, 2_048],
  ["2,049, in one count with 2,048", 2_049, 2_048],
  ["2,050", 2_050, 2_049],
  ["an hour", HDR_MAX_NS, expectedIndex(BigInt(HDR_MAX_NS))],
  ["more than an hour", HDR_MAX_NS * 10, expectedIndex(BigInt(HDR_MAX_NS))],
  ["infinity", Number.POSITIVE_INFINITY, expectedIndex(BigInt(HDR_MAX_NS))],
];

for (const [name, ns, index] of EDGES) {
  test(`the index of ${name} is ${index}`, () => strictEqual(hdrIndexOf(ns), index));
}

test("every value around every border of parts and powers of two has HdrHistogram's index", () => {
  for (let bits = 0; bits < 42; bits += 1) {
    for (const part of [0, 1, 511, 512, 1_023]) {
      const border = 2 ** bits + part * Math.max(1, 2 ** (bits - 10));
      for (const ns of [border - 1, border, border + 1].filter((value) => value >= 0 && value <= HDR_MAX_NS)) {
        strictEqual(hdrIndexOf(ns), expectedIndex(BigInt(ns)), `of ${ns}`);
        strictEqual(hdrIndexOf(Math.min(ns + 0.75, HDR_MAX_NS)), expectedIndex(BigInt(ns)), `of ${ns}.75`);
      }
    }
  }
});

test("no index is beyond the counts", () => strictEqual(hdrIndexOf(HDR_MAX_NS) < HDR_COUNTS, true));
