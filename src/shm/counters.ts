/**
 * Counters of all workers, in one mapped file (memory map in layout.ts). Each block is written by one gateway worker,
 * the holder of the slot's lock, from its only thread; the supervisor's main thread reads all blocks.
 *
 * Plain Float64 loads and stores are enough: with one writer per element an add cannot be lost, and an aligned 8-byte
 * store is one instruction on x86-64 and arm64, so a reader sees the value before or after, never half of each. It may
 * see one counter of a request and not yet the next; a scrape is not a transaction. Doubles are exact up to 2^53:
 * 9 million dollars in nano-dollars, or 9 petabytes, per slot and supervisor run.
 *
 * The file is made anew at each start of the supervisor (Prometheus takes that as a counter reset), but not when one takes
 * over from another in the same process. A worker of an earlier supervisor keeps its mapping of the old inode and disturbs
 * nobody.
 */
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../base/assert.ts";
import { CodedError, ERROR_NUMBERS } from "../base/errors.ts";
import { RINGS_MAX } from "../base/limits.ts";
import { native } from "../native/native.ts";
import { ENDPOINTS, FLAG_UNPRICED, KIND_SHADOW, type RequestRecord, USAGE_SOURCES } from "../telemetry/record.ts";
import {
  BUCKET_EXPONENT_FIRST,
  BUCKETS,
  COUNTER,
  COUNTER_BLOCK_BYTES,
  COUNTER_LENGTH,
  COUNTERS_AT,
  COUNTERS_BYTES,
  COUNTERS_MAGIC,
  COUNTERS_VERSION,
  GAUGE_SHEDDING,
  GAUGE_WAITING,
  GAUGES_BEGIN,
  GAUGES_END,
  HISTOGRAM_0,
  HISTOGRAM_LENGTH,
  HISTOGRAM_SUM,
  HISTOGRAMS,
  type HistogramName,
  KIND_0,
  KIND_COST_0,
  PAGE_BYTES,
  STATUS_CLASSES,
  WAIT_HISTOGRAM,
} from "./layout.ts";

const HISTOGRAM_AT = {
  ...Object.fromEntries(HISTOGRAMS.map((name, i) => [name, HISTOGRAM_0 + i * HISTOGRAM_LENGTH])),
  wait: WAIT_HISTOGRAM,
} as Record<HistogramName, number>;

const US_PER_MS = 1_000;

/** Index into STATUS_CLASSES. */
export function statusClassOf(status: number): number {
  const index = Math.floor(status / 100);
  return index < STATUS_CLASSES.length ? index : 0;
}

/** Smallest i with `us` <= 2^(i + BUCKET_EXPONENT_FIRST), or the last bucket. */
export function bucketOf(us: number): number {
  const exponent = us <= 1 ? 0 : 32 - Math.clz32(us - 1);
  return Math.min(Math.max(exponent - BUCKET_EXPONENT_FIRST, 0), BUCKETS - 1);
}

function resetGauges(block: Float64Array): void {
  block.fill(0, GAUGES_BEGIN, GAUGES_END);
  block[GAUGE_WAITING] = 0;
  block[GAUGE_SHEDDING] = 0;
}

/** A gateway worker's own block. */
export class CountersWriter {
  readonly #block: Float64Array;

  constructor(block: Float64Array) {
    this.#block = block;
    resetGauges(block);
  }

  /** Adds `n` to a counter or gauge of COUNTER. */
  add(index: number, n: number): void {
    this.#block[index] = (this.#block[index] ?? 0) + n;
  }

  /** Sets a gauge or the heartbeat. */
  set(index: number, value: number): void {
    this.#block[index] = value;
  }

  /** Everything that a finished request adds: counts, tokens, cost, bytes, durations. Once per request. */
  recordRequest(record: RequestRecord): void {
    this.#count(record);
    this.#spend(record);
    this.add(COUNTER.requestBytes, record.requestBytes);
    this.add(COUNTER.responseBytes, record.responseBytes);
    this.#observe(HISTOGRAM_AT.total, record.totalUs);
    this.#observe(HISTOGRAM_AT.gateway, record.gatewayUs);
    // 0 says that there was no response head, or no body byte: nothing to observe.
    if (record.firstByteUs > 0) this.#observe(HISTOGRAM_AT.firstByte, record.firstByteUs);
    if (record.ttftUs > 0) this.#observe(HISTOGRAM_AT.ttft, record.ttftUs);
  }

  /** What an attempt adds that did not bring the answer. A shadow copy is no part of what requests cost. */
  recordBooking(record: RequestRecord): void {
    if (record.kind !== KIND_SHADOW) this.#spend(record);
    this.add(KIND_0 + record.kind, 1);
    this.add(KIND_COST_0 + record.kind, record.costNanodollars);
  }

  /** How long a request waited for a rate limit, milliseconds. */
  recordWait(waitedMs: number): void {
    this.#observe(WAIT_HISTOGRAM, Math.round(waitedMs * US_PER_MS));
  }

  #spend(record: RequestRecord): void {
    this.add(COUNTER.inputTokens, record.inputTokens);
    this.add(COUNTER.outputTokens, record.outputTokens);
    this.add(COUNTER.cachedTokens, record.cachedTokens);
    this.add(COUNTER.reasoningTokens, record.reasoningTokens);
    this.add(COUNTER.costNanodollars, record.costNanodollars);
  }

  #count(record: RequestRecord): void {
    this.add(COUNTER.statusClass0 + statusClassOf(record.status), 1);
    this.add(COUNTER.endpoint0 + (record.endpoint < ENDPOINTS.length ? record.endpoint : 0), 1);
    this.add(COUNTER.usageSource0 + (record.usageSource < USAGE_SOURCES.length ? record.usageSource : 0), 1);
    if (record.error > 0 && record.error < ERROR_NUMBERS) this.add(COUNTER.error0 + record.error, 1);
    if ((record.flags & FLAG_UNPRICED) !== 0) this.add(COUNTER.unpricedRequests, 1);
  }

  #observe(histogram: number, us: number): void {
    this.add(histogram + bucketOf(us), 1);
    this.add(histogram + HISTOGRAM_SUM, us);
  }
}

/** The supervisor's view of all blocks. */
export class CountersReader {
  readonly #blocks: readonly Float64Array[];
  readonly #used: Int32Array;

  constructor(mapping: ArrayBuffer) {
    this.#used = usedOf(mapping);
    this.#blocks = Array.from({ length: RINGS_MAX }, (_, slot) => blockOf(mapping, slot));
  }

  /** Every index of COUNTER and of the histograms, added over all slots. The heartbeat's sum means nothing. */
  sum(): Float64Array {
    const total = new Float64Array(COUNTER_LENGTH);
    for (const block of this.#blocks.slice(0, Atomics.load(this.#used, 0))) {
      for (let i = 0; i < COUNTER_LENGTH; i += 1) total[i] = (total[i] ?? 0) + (block[i] ?? 0);
    }
    return total;
  }

  /** One element of one worker's block, such as its heartbeat. */
  value(slot: number, index: number): number {
    return this.#blocks[slot]?.[index] ?? 0;
  }

  /** A worker died and took its in-flight work along. Call before another one is spawned into the slot. */
  resetGauges(slot: number): void {
    const block = this.#blocks[slot];
    if (block !== undefined) resetGauges(block);
  }
}

/** Observed durations of one histogram out of `CountersReader.sum()`. */
export function histogramOf(sum: Float64Array, name: HistogramName): { buckets: Float64Array; sumUs: number } {
  const at = HISTOGRAM_AT[name];
  return { buckets: sum.subarray(at, at + BUCKETS), sumUs: sum[at + HISTOGRAM_SUM] ?? 0 };
}

function countersPath(dataDir: string): string {
  return join(dataDir, "counters.map");
}

function blockOf(mapping: ArrayBuffer, slot: number): Float64Array {
  return new Float64Array(mapping, PAGE_BYTES + slot * COUNTER_BLOCK_BYTES, COUNTER_LENGTH);
}

/** Behind the last block that a worker ever had: those from there on are zero, and not looked at, because they would have to be in memory. */
function usedOf(mapping: ArrayBuffer): Int32Array {
  return new Int32Array(mapping, COUNTERS_AT.used, 1);
}

function noteUse(mapping: ArrayBuffer, slot: number): void {
  const used = usedOf(mapping);
  for (let known = Atomics.load(used, 0); known <= slot; known = Atomics.load(used, 0))
    Atomics.compareExchange(used, 0, known, slot + 1);
}

/** Makes the file, with a new inode, and puts it in the place of an earlier one. Supervisor, at start. */
export function createCounters(dataDir: string): CountersReader {
  const path = countersPath(dataDir);
  rmSync(`${path}.new`, { force: true });
  const mapping = mapNew(`${path}.new`);
  const header = new DataView(mapping);
  header.setUint32(COUNTERS_AT.magic, COUNTERS_MAGIC, true);
  header.setUint32(COUNTERS_AT.version, COUNTERS_VERSION, true);
  header.setUint32(COUNTERS_AT.blockBytes, COUNTER_BLOCK_BYTES, true);
  header.setUint32(COUNTERS_AT.blocks, RINGS_MAX, true);
  renameSync(`${path}.new`, path);
  return new CountersReader(mapping);
}

/** The file of the program before this one, whose workers still count in it; null: its layout is not ours. */
export function adoptCounters(dataDir: string, version: number): CountersReader | null {
  if (version !== COUNTERS_VERSION) return null;
  const mapping = mapNew(countersPath(dataDir));
  return isSound(mapping) ? new CountersReader(mapping) : null;
}

/** Throws CodedError `data_dir_unusable`: a full disk shows here first, and not as a SIGBUS later. */
function mapNew(path: string): ArrayBuffer {
  try {
    return native.mapFile(path, COUNTERS_BYTES);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CodedError(
      "data_dir_unusable",
      `The data directory (setting 'data_dir') cannot be used: ${reason}`,
      cause,
    );
  }
}

function isSound(mapping: ArrayBuffer): boolean {
  const header = new DataView(mapping);
  return (
    header.getUint32(COUNTERS_AT.magic, true) === COUNTERS_MAGIC &&
    header.getUint32(COUNTERS_AT.version, true) === COUNTERS_VERSION &&
    header.getUint32(COUNTERS_AT.blockBytes, true) === COUNTER_BLOCK_BYTES
  );
}

/** The block of `slot` (of openRing), for the worker that holds it. Throws CodedError `counters_invalid`. */
export function openCounters(dataDir: string, slot: number): CountersWriter {
  assert(slot >= 0 && slot < RINGS_MAX, "openCounters: slot out of range");
  const path = countersPath(dataDir);
  const mapping = native.mapFile(path, COUNTERS_BYTES);
  if (!isSound(mapping)) throw new CodedError("counters_invalid", `${path} was not made by this version's supervisor`);
  noteUse(mapping, slot);
  return new CountersWriter(blockOf(mapping, slot));
}
