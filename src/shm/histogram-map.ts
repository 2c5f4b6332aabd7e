/**
 * The latency histograms of all gateway workers, in one memory file without a name (native.memoryFile): made by the
 * supervisor at its start, given to each worker as descriptor HISTOGRAMS_DESCRIPTOR, gone when the last of them ends. Not
 * a file in the data directory, because a store into one of those can wait for the disk (the first one into each page
 * after it was written back does), and a store into a hole of one is a SIGBUS when the disk is full.
 *
 *        0  u8 per slot: 1 when the slot has had a writer               written by the slot's worker
 *     1024  f64: name of the log being written, and its bytes                           written by the pool task
 *     1040  f64: when counting began, wall-clock milliseconds                           written by its maker
 *     4096  what was written to disk: heads, then HDR_COUNTS f64 per histogram           written by the pool task
 *   BLOCK_0  block of slot 0: heads, then HDR_COUNTS u32 per histogram                    written by the slot's worker
 *      ...   block of slot 1 ...     RINGS_MAX blocks
 *
 *   head of histogram h, at 8 h: total u32, octaves u32 (bit octaveOf(index): a count there was touched)
 *   histogram h = series * METRICS.length + metric; its counts are 33 pages of 1,024, in the geometry of hdr-geometry.ts
 *
 * One writer per element, plain loads and stores: an aligned store is one instruction, so a reader sees a count before or
 * after. Counts only ever grow, modulo 2^32, also over the death of a worker, whose successor goes on in the same block.
 * So an interval is what is there now minus what was written, and the worker has no part in it.
 *
 * Order, worker: count, octaves, total. Order, reader: total, octaves, counts. So what a total says is there, and a count
 * that is read before its total comes changes nothing: the total differs the next time, and the count is not new then.
 * (Stores of one thread are seen in their order: x86-64.)
 * Pages are made when touched: readers look at the octaves first, because to read an untouched page is to make it.
 */
import { HDR_COUNTS, hdrIndexOf } from "../base/hdr-geometry.ts";
import { HDR_SERIES_MAX, RINGS_MAX } from "../base/limits.ts";
import { native } from "../native/native.ts";
import { PAGE_BYTES } from "./layout.ts";

/** Of the memory map above: a memory file of another one is not used. */
export const HISTOGRAMS_VERSION = 1;

/** What is measured, in the order of the numbers below. Nanoseconds. */
export const METRICS = [
  "auth",
  "recv",
  "scan",
  "route",
  "overhead",
  "upstream_first_byte",
  "ttft",
  "gap",
  "total",
] as const;
export type MetricName = (typeof METRICS)[number];

/** Of the metrics as numbers. */
export const METRIC = {
  auth: 0,
  recv: 1,
  scan: 2,
  route: 3,
  overhead: 4,
  firstByte: 5,
  ttft: 6,
  gap: 7,
  total: 8,
} as const;

const METRICS_LENGTH = METRICS.length;

/** In a worker, where its fork put the memory file. */
export const HISTOGRAMS_DESCRIPTOR = 4;

export const HISTOGRAMS = HDR_SERIES_MAX * METRICS.length;
/** Of 1,024 counts; the first one has the 2,048 counts below 2^11 ns. */
export const OCTAVE_COUNTS = 1_024;
export const HEAD_WORDS = 2;
export const HEADS_BYTES = Math.ceil((HISTOGRAMS * HEAD_WORDS * 4) / PAGE_BYTES) * PAGE_BYTES;
export const BLOCK_BYTES = HEADS_BYTES + HISTOGRAMS * HDR_COUNTS * 4;

export const PLACE_AT = 1_024;
export const SINCE_AT = 1_040;
export const WRITTEN_AT = PAGE_BYTES;
export const WRITTEN_BYTES = HEADS_BYTES + HISTOGRAMS * HDR_COUNTS * 8;
const BLOCK_0 = WRITTEN_AT + WRITTEN_BYTES;

const COUNTS_WORD = HEADS_BYTES / 4;
const NS_PER_MS = 1e6;

/** Makes the memory file; the descriptor is the caller's to close. */
export function createHistograms(): number {
  const descriptor = native.memoryFile("sluice-histograms", blockAt(RINGS_MAX));
  new Float64Array(native.mapDescriptor(descriptor, 0, PAGE_BYTES), SINCE_AT, 1)[0] = Date.now();
  return descriptor;
}

export function blockAt(slot: number): number {
  return BLOCK_0 + slot * BLOCK_BYTES;
}

/** For the holder of `slot` (of openRing). */
export function openHistograms(descriptor: number, slot: number): HistogramWriter {
  new Uint8Array(native.mapDescriptor(descriptor, 0, PAGE_BYTES))[slot] = 1;
  return new HistogramWriter(native.mapDescriptor(descriptor, blockAt(slot), BLOCK_BYTES));
}

export class HistogramWriter {
  readonly #words: Uint32Array;

  constructor(block: ArrayBuffer) {
    this.#words = new Uint32Array(block);
  }

  /** Counts a duration in milliseconds of base/clock.ts. `series`: below HDR_SERIES_MAX; `metric`: of METRIC. */
  record(series: number, metric: number, ms: number): void {
    const words = this.#words;
    const histogram = series * METRICS_LENGTH + metric;
    const index = hdrIndexOf(ms * NS_PER_MS);
    const at = COUNTS_WORD + histogram * HDR_COUNTS + index;
    const head = histogram * HEAD_WORDS;
    words[at] = (words[at] ?? 0) + 1;
    words[head + 1] = (words[head + 1] ?? 0) | (1 << octaveOf(index));
    words[head] = (words[head] ?? 0) + 1;
  }
}

/** Which part of the counts has this index, 0 to 31. Bit of `octaves` in a head. */
function octaveOf(index: number): number {
  return index < OCTAVE_COUNTS ? 0 : (index >>> 10) - 1;
}
