/**
 * The shape of every latency histogram: HdrHistogram with 3 significant digits over 1 ns to 1 h, as its usual tools read it.
 * A histogram is an array of HDR_COUNTS counts; a value adds one at hdrIndexOf(value). Leaf; hot path. The load generator of
 * native-bench has the same arithmetic in C++.
 *
 * Values below 2^11 have a count each; above, each power of two is cut into 1,024 equal parts.
 */

export const HDR_DIGITS = 3;
/** One hour; larger values count as this one. */
export const HDR_MAX_NS = 3_600_000_000_000;

const SUB_BUCKETS = 2_048;
const SUB_BUCKETS_HALF = SUB_BUCKETS / 2;
/** 2^11 * 2^31 is the first power of two times SUB_BUCKETS that is above HDR_MAX_NS. */
const BUCKETS = 32;
export const HDR_COUNTS = (BUCKETS + 1) * SUB_BUCKETS_HALF;
/** Of a 32-bit shift: larger values are divided first, exactly, by a power of two. */
const LOW_BITS = 21;
const LOW = 2 ** LOW_BITS;

/** Index of a count; negative values and NaN count as 0, too large ones as HDR_MAX_NS. */
export function hdrIndexOf(valueNs: number): number {
  if (!(valueNs > 0)) return 0;
  if (valueNs < LOW) return indexIn(valueNs | 0, 0);
  const value = valueNs < HDR_MAX_NS ? valueNs : HDR_MAX_NS;
  // At least 11 bits stay after the division for every value from 2^21 on, if only the bucket's number goes up with it.
  return value < LOW * SUB_BUCKETS_HALF
    ? indexIn((value / SUB_BUCKETS_HALF) | 0, 10)
    : indexIn((value / LOW) | 0, LOW_BITS);
}

/** `value` shifted by `shift` bits to the right already; has at least 11 bits then. */
function indexIn(value: number, shift: number): number {
  const bits = 32 - Math.clz32(value | (SUB_BUCKETS - 1)) - 11;
  return ((bits + shift) << 10) + (value >>> bits);
}
