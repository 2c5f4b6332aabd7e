/**
 * A histogram as text: the "V2 compressed" encoding of HdrHistogram in base64, as all of its tools read it. Off the request path.
 *
 * hdr-histogram-js has both directions, and neither is used. It writes a normalizing index offset of 1, which moves minimum and
 * maximum in the C reader; and it trusts what it reads, where one number can stand for 2^62 counts of zero. A file may
 * come from anywhere, so everything is checked here before it is believed.
 *
 *     base64( compressed cookie i32 | length i32 | zlib( cookie i32 | payload length i32 | index offset i32 | digits i32 |
 *             lowest value i64 | highest value i64 | ratio f64 | payload ) )         all big-endian
 *
 * The payload is one number per count, or -n for n counts of zero, in zigzag LEB128 of at most 9 bytes. Offset (where the
 * writer's array began) and ratio (of histograms of doubles) mean nothing to a reader.
 */
import { deflateSync, inflateSync } from "node:zlib";
import { CodedError } from "../../base/errors.ts";
import { HDR_COUNTS_MAX, HDR_ENCODED_BYTES_MAX } from "../../base/limits.ts";
import { type Histogram, histogramOf } from "./histogram.ts";

/** Their last byte is 1, the word size "variable", and the kind. */
const COOKIE = 0x1c849313;
const COMPRESSED_COOKIE = 0x1c849314;
/** What it is if it is not that, by the compressed cookie without its word size. */
const OTHER_KINDS: ReadonlyMap<number, string> = new Map([
  [0x1c849309, "it is in the older encoding V0"],
  [0x1c849302, "it is in the older encoding V1"],
  [0x0c72124f, "it is a histogram of doubles"],
]);
const WORD_SIZE_BITS = 0xf0;

const COMPRESSED_HEAD_BYTES = 8;
const HEAD_BYTES = 40;
const DIGITS_MAX = 5;

/** Base64 without line breaks. */
export function encodeHistogram(histogram: Histogram): string {
  const payload = payloadOf(histogram);
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeInt32BE(COOKIE, 0);
  head.writeInt32BE(payload.length, 4);
  head.writeInt32BE(histogram.numberOfSignificantValueDigits, 12);
  head.writeBigInt64BE(BigInt(histogram.lowestDiscernibleValue), 16);
  head.writeBigInt64BE(BigInt(histogram.highestTrackableValue), 24);
  head.writeDoubleBE(1, 32);
  const packed = deflateSync(Buffer.concat([head, payload]));
  const outer = Buffer.alloc(COMPRESSED_HEAD_BYTES);
  outer.writeInt32BE(COMPRESSED_COOKIE, 0);
  outer.writeInt32BE(packed.length, 4);
  return Buffer.concat([outer, packed]).toString("base64");
}

function payloadOf(histogram: Histogram): Buffer {
  const bytes: number[] = [];
  const end = histogram.totalCount === 0 ? 0 : histogram.countsArrayIndex(histogram.maxValue) + 1;
  let zeros = 0;
  for (let index = 0; index < end; index++) {
    const count = histogram.getCountAtIndex(index);
    if (count === 0) {
      zeros += 1;
      continue;
    }
    if (zeros > 0) pushVarint(bytes, zeros * 2 - 1);
    zeros = 0;
    pushVarint(bytes, count * 2);
  }
  return Buffer.from(bytes);
}

/** LEB128 of a zigzag value below 2^54, which takes 8 bytes: the ninth, without a mark, is never reached. */
function pushVarint(bytes: number[], zigzag: number): void {
  let rest = zigzag;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) + 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
}

/** Throws a CodedError "hdr_bad_histogram" that says what is wrong. */
export function decodeHistogram(base64: string): Histogram {
  const bytes = inflated(base64);
  if (bytes.length < HEAD_BYTES) throw bad("it is cut off");
  if (bytes.readInt32BE(0) !== COOKIE) throw bad("its content is no histogram");
  const payloadLength = bytes.readInt32BE(4);
  const payload = bytes.subarray(HEAD_BYTES, HEAD_BYTES + payloadLength);
  if (payloadLength < 0 || payload.length !== payloadLength) throw bad("its payload is cut off");
  const histogram = emptyFrom(bytes);
  fill(histogram, payload);
  return histogram;
}

function bad(what: string, cause?: unknown): CodedError {
  return new CodedError("hdr_bad_histogram", `cannot be read as a histogram: ${what}`, cause);
}

function inflated(base64: string): Buffer {
  const outer = Buffer.from(base64, "base64");
  // Buffer.from stops at the first character that is no base64 and says nothing.
  if (outer.toString("base64").replace(/=+$/, "") !== base64.replace(/=+$/, ""))
    throw bad("its base64 is broken or cut off");
  if (outer.length < COMPRESSED_HEAD_BYTES) throw bad("it is cut off");
  const cookie = outer.readInt32BE(0);
  if (cookie !== COMPRESSED_COOKIE)
    throw bad(OTHER_KINDS.get(cookie & ~WORD_SIZE_BITS) ?? "it does not begin like one");
  const packed = outer.subarray(COMPRESSED_HEAD_BYTES, COMPRESSED_HEAD_BYTES + outer.readInt32BE(4));
  try {
    return inflateSync(packed, { maxOutputLength: HDR_ENCODED_BYTES_MAX });
  } catch (error) {
    throw bad("its compressed data is broken, cut off or too large", error);
  }
}

function emptyFrom(head: Buffer): Histogram {
  const digits = head.readInt32BE(12);
  const [lowest, highest] = [Number(head.readBigInt64BE(16)), Number(head.readBigInt64BE(24))];
  const sound = digits >= 0 && digits <= DIGITS_MAX && lowest >= 1 && highest >= 2 * lowest;
  if (!sound || highest > Number.MAX_SAFE_INTEGER) throw bad("its range of values is not possible");
  const histogram = histogramOf(lowest, highest, digits);
  if (histogram.countsArrayLength > HDR_COUNTS_MAX) throw bad("it has too many counts");
  return histogram;
}

function fill(histogram: Histogram, payload: Buffer): void {
  let index = 0;
  for (let at = 0; at < payload.length; ) {
    const [value, next] = varintAt(payload, at);
    at = next;
    if (value > Number.MAX_SAFE_INTEGER) throw bad("its counts are too large");
    if (value < 0) index -= value;
    else if (index < histogram.countsArrayLength) histogram.setCountAtIndex(index++, value);
    else throw bad("it has more counts than its range of values");
  }
  if (index > histogram.countsArrayLength) throw bad("it has more counts than its range of values");
  histogram.establishInternalTackingValues();
  if (!Number.isSafeInteger(histogram.totalCount)) throw bad("its counts are too large");
}

const VARINT_BYTES_MAX = 9;

/** The number and the place behind it. Of nine bytes the last has eight bits. */
function varintAt(bytes: Buffer, from: number): [value: number, next: number] {
  let zigzag = 0;
  let scale = 1;
  for (let at = from; at < from + VARINT_BYTES_MAX; at++) {
    const byte = bytes[at];
    if (byte === undefined) throw bad("its last count is cut off");
    const last = byte < 0x80 || at === from + VARINT_BYTES_MAX - 1;
    zigzag += (last ? byte : byte - 0x80) * scale;
    scale *= 0x80;
    if (last) return [zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2, at + 1];
  }
  throw bad("its last count is cut off");
}
