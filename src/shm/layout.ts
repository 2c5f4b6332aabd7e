/**
 * Every offset of the mapped files that the telemetry shares. Read by gateway workers, the supervisor and its pool
 * tasks. Over a restart two releases meet here, so a change of layout changes the version in the header. Rings: the new
 * release reads the records of the one before it, and its workers write to rings of their own. Counters and histograms: new
 * files, which begin with zeros; what workers of the earlier release still count is in the records and nowhere else.
 *
 * <dataDir>/rings/ring-NNN.map: one per gateway worker slot, little-endian
 *
 *        0  magic u32     4 version u32   8 header bytes u32   12 record bytes u32   16 records u32   20 zero u32
 *       24  ring id, 8 random bytes                            32 boot id of the kernel, 16 bytes
 *       64  write position i64      written by the worker only     (a cache line of its own)
 *      128  release position i64    written by pool tasks only     (a cache line of its own)
 *     4096  slot 0: 640 bytes (telemetry/record.ts)
 *     4736  slot 1 ...              RING_RECORDS slots
 *
 *   A position counts records since the ring was made; record p lives in slot p mod RING_RECORDS and holds p as `seq`.
 *   Always release <= write <= release + RING_RECORDS.
 *
 *   Order, writer: load release (only when the ring looks full) -> plain stores into the slot, check value last
 *   -> Atomics.store(write). Order, reader: Atomics.load(write) -> plain loads -> commit elsewhere
 *   -> Atomics.store(release). The two atomics are sequentially consistent, so a reader that sees the position sees the
 *   record, and a writer that sees the release knows that nobody reads the slot any more. Positions are BigInt64: a Float64
 *   has no atomics, an Int32 wraps after 2^31 records; 2^63 does not.
 *
 * <dataDir>/counters.map: one block per slot, Float64 throughout
 *
 *        0  magic u32     4 version u32   8 block bytes u32    12 blocks u32    16 used i32: behind the last block that a worker ever
 *           had; raised by workers, before they count
 *     4096  block of slot 0: COUNTER indexes, the histograms, refused connections; further ones come behind them, which
 *           changes nothing for those who do not know them, and so not the version
 *     8192  block of slot 1 ...     RINGS_MAX blocks of one page, so that no two workers write to one cache line
 */
import { ERROR_NUMBERS } from "../base/errors.ts";
import { RING_RECORDS, RINGS_MAX } from "../base/limits.ts";
import { REFUSALS } from "../base/refusals.ts";
import { SHADOW_DROPS } from "../base/shadow-drops.ts";
import { WAIT_DROPS } from "../base/wait-drops.ts";
import { ENDPOINTS, KINDS, RECORD_BYTES, RECORD_VERSION, USAGE_SOURCES } from "../telemetry/record.ts";

export const PAGE_BYTES = 4_096;

/** "SLRG" */
export const RING_MAGIC = 0x47524c53;
export const RING_VERSION = 2;

/** What is in a ring of one version. */
export interface RingForm {
  readonly recordVersion: number;
  readonly recordBytes: number;
  readonly records: number;
}

const OWN_FORM: RingForm = { recordVersion: RECORD_VERSION, recordBytes: RECORD_BYTES, records: RING_RECORDS };
/** By version, those of which this release reads what was left in the rings: its own, and that of the release before it. */
export const RING_FORMS: ReadonlyMap<number, RingForm> = new Map([
  [1, { recordVersion: 1, recordBytes: 512, records: 16_384 }],
  [RING_VERSION, OWN_FORM],
]);

export function ringBytes({ recordBytes, records }: RingForm): number {
  return PAGE_BYTES + records * recordBytes;
}

export const RING_BYTES = ringBytes(OWN_FORM);

/** Byte offsets in a ring's header page. */
export const RING_AT = {
  magic: 0,
  version: 4,
  headerBytes: 8,
  recordBytes: 12,
  records: 16,
  id: 24,
  bootId: 32,
  write: 64,
  release: 128,
} as const;

export const RING_ID_BYTES = 8;
export const BOOT_ID_BYTES = 16;

/** "SLCT" */
export const COUNTERS_MAGIC = 0x54434c53;
export const COUNTERS_VERSION = 2;
export const COUNTER_BLOCK_BYTES = PAGE_BYTES;
export const COUNTERS_BYTES = PAGE_BYTES + RINGS_MAX * COUNTER_BLOCK_BYTES;

/** Byte offsets in the header page of counters.map. */
export const COUNTERS_AT = { magic: 0, version: 4, blockBytes: 8, blocks: 12, used: 16 } as const;

/** Classes of `status`: 0 for connections closed without an answer, then 1xx to 5xx. */
export const STATUS_CLASSES = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"] as const;
export type StatusClass = (typeof STATUS_CLASSES)[number];

const STATUS_CLASS_0 = 0;
const ERROR_0 = STATUS_CLASS_0 + STATUS_CLASSES.length;
const ENDPOINT_0 = ERROR_0 + ERROR_NUMBERS;
const USAGE_0 = ENDPOINT_0 + ENDPOINTS.length;
const SINGLE_0 = USAGE_0 + USAGE_SOURCES.length;
const GAUGE_0 = SINGLE_0 + 13;

/** Index of each counter in a block, in Float64 elements. `...0` is the first of a family, the rest follow it. */
export const COUNTER = {
  statusClass0: STATUS_CLASS_0,
  error0: ERROR_0,
  endpoint0: ENDPOINT_0,
  usageSource0: USAGE_0,
  inputTokens: SINGLE_0,
  outputTokens: SINGLE_0 + 1,
  cachedTokens: SINGLE_0 + 2,
  reasoningTokens: SINGLE_0 + 3,
  costNanodollars: SINGLE_0 + 4,
  requestBytes: SINGLE_0 + 5,
  responseBytes: SINGLE_0 + 6,
  unpricedRequests: SINGLE_0 + 7,
  recordsDropped: SINGLE_0 + 8,
  upstreamConnects: SINGLE_0 + 9,
  upstreamReuses: SINGLE_0 + 10,
  staleReplays: SINGLE_0 + 11,
  queueWaits: SINGLE_0 + 12,
  gaugeInFlight: GAUGE_0,
  gaugeUpstreamConnections: GAUGE_0 + 1,
  gaugeBodyBytesInFlight: GAUGE_0 + 2,
  gaugeScannerSlots: GAUGE_0 + 3,
  heartbeatMs: GAUGE_0 + 4,
} as const;

/** The gauges and the heartbeat describe one process: they are set to 0 when the slot changes hands. */
export const GAUGES_BEGIN = GAUGE_0;
export const GAUGES_END = GAUGE_0 + 5;

/** Durations that have a histogram, in the order of their blocks. */
export const HISTOGRAMS = ["total", "firstByte", "ttft", "gateway"] as const;
export type HistogramName = (typeof HISTOGRAMS)[number] | "wait";

/** Bucket i holds durations of at most 2^(i + FIRST) microseconds: 16 us to 36 minutes; the last one holds the rest. */
export const BUCKET_EXPONENT_FIRST = 4;
export const BUCKETS = 29;
/** Per histogram: its buckets, and the sum in microseconds. The count is the sum of the buckets. */
export const HISTOGRAM_LENGTH = BUCKETS + 1;
export const HISTOGRAM_SUM = BUCKETS;
export const HISTOGRAM_0 = GAUGES_END;
/** Connections that a front refused, in the order of REFUSALS. */
export const REFUSAL_0 = HISTOGRAM_0 + HISTOGRAMS.length * HISTOGRAM_LENGTH;
/** Tries after a failed one: at another target, at the same one again, and those that the budget did not allow. */
export const FALLBACKS = REFUSAL_0 + REFUSALS.length;
export const RETRIES = FALLBACKS + 1;
/** By kind of record: how many, and their cost. Those of requests are counted elsewhere. */
export const KIND_0 = RETRIES + 1;
export const KIND_COST_0 = KIND_0 + KINDS.length;
/** Second attempts beside slow ones, and those that became the answer's. */
export const HEDGES = KIND_COST_0 + KINDS.length;
export const HEDGES_WON = HEDGES + 1;
/** Shadow copies: sent, failed, not sent in the order of SHADOW_DROPS, and two gauges that each sweep sets. */
export const SHADOWS = HEDGES_WON + 1;
export const SHADOW_FAILURES = SHADOWS + 1;
export const SHADOWS_IN_FLIGHT = SHADOWS + 2;
export const SHADOW_BYTES_IN_FLIGHT = SHADOWS + 3;
export const SHADOW_DROP_0 = SHADOWS + 4;
/** Requests that were refused because the loop was late. */
export const SHED = SHADOW_DROP_0 + SHADOW_DROPS.length;
/** Requests that waited for a rate limit and were admitted, for how many milliseconds together, and why others were not (WAIT_DROPS). */
export const WAITS = SHED + 1;
export const WAITED_MS = WAITS + 1;
export const WAIT_DROPPED_0 = WAITED_MS + 1;
/** A gauge: how many wait. */
export const GAUGE_WAITING = WAIT_DROPPED_0 + WAIT_DROPS.length;
/** How long requests waited for a rate limit, whatever came of them: one more histogram, apart because it came later. */
export const WAIT_HISTOGRAM = GAUGE_WAITING + 1;
/** A gauge: 1 while the worker sheds load, and SHED_TOLD_MS longer. */
export const GAUGE_SHEDDING = WAIT_HISTOGRAM + HISTOGRAM_LENGTH;
export const COUNTER_LENGTH = GAUGE_SHEDDING + 1;
