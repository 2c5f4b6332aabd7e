/**
 * The record: what one finished request leaves behind, in 640 bytes of a worker's ring (shm/ring.ts); one more of another kind for each
 * of its attempts that did not bring the answer and may be billed. Written by the gateway worker's only thread, read by a pool task in
 * the supervisor. Little-endian; labels are blocks of base/bytes.ts.
 *
 *   0  check u32        4  version u16    6  flags u16      8  seq f64          16 startedAtMs f64 (wall clock)
 *  24  cost f64 (nano-dollars)           32  inputTokens f64   40 outputTokens f64   48 cachedTokens f64
 *  56  reasoningTokens f64               64  requestBytes f64  72 responseBytes f64
 *  80  totalUs u32     84 firstByteUs u32   88 ttftUs u32      92 gatewayUs u32
 *  96  status u16      98 upstreamStatus u16 100 error u16     102 endpoint u8      103 method u8
 * 104  attempts u8    105 usageSource u8    106 address length u8 (0, 4, 16)        107 kind u8
 * 108  address 16 bytes                     124 credential u8    125 three bytes that are 0
 * 128  requestId 64   192 key 48            240 model 80       320 upstreamModel 80 400 provider 48    448 path 64
 * 512  decision 128
 *
 * `check` is checkOf() over all bytes behind it. The record is published by the ring's store of its write position. Version 1 had no
 * decision, and 512 bytes; what knows no credential has 0 there.
 */

export const RECORD_BYTES = 640;
export const RECORD_VERSION = 2;

/** Byte offsets. */
export const AT = {
  check: 0,
  version: 4,
  flags: 6,
  seq: 8,
  startedAtMs: 16,
  costNanodollars: 24,
  inputTokens: 32,
  outputTokens: 40,
  cachedTokens: 48,
  reasoningTokens: 56,
  requestBytes: 64,
  responseBytes: 72,
  totalUs: 80,
  firstByteUs: 84,
  ttftUs: 88,
  gatewayUs: 92,
  status: 96,
  upstreamStatus: 98,
  error: 100,
  endpoint: 102,
  method: 103,
  attempts: 104,
  usageSource: 105,
  addressLength: 106,
  kind: 107,
  address: 108,
  credential: 124,
  requestId: 128,
  key: 192,
  model: 240,
  upstreamModel: 320,
  provider: 400,
  path: 448,
  decision: 512,
} as const;

export const REQUEST_ID_LABEL_BYTES = 64;
export const PATH_LABEL_BYTES = 64;
export const DECISION_LABEL_BYTES = 128;

/** Bits of `flags`. */
export const FLAG_STREAM = 1;
export const FLAG_CLIENT_ABORTED = 2;
export const FLAG_REPLAYED = 4;
/** The request had no price: its cost is 0 because nothing is known, not because it was free. */
export const FLAG_UNPRICED = 8;

/** `usageSource`: where the token counts come from. */
export const USAGE_NONE = 0;
export const USAGE_MEASURED = 1;
export const USAGE_ESTIMATED = 2;
export const USAGE_SOURCES = ["none", "measured", "estimated"] as const;

/** `kind`: what the record is of. Each request leaves exactly one of its own; the others have its id. */
export const KIND_REQUEST = 0;
/** A try that failed before the answer of another one. */
export const KIND_TRY = 1;
/** An attempt in parallel that was not the first to answer. */
export const KIND_HEDGE = 2;
/** A copy whose answer nobody gets. */
export const KIND_SHADOW = 3;
export const KINDS = ["request", "try", "hedge", "shadow"] as const;
export type RecordKind = (typeof KINDS)[number];

/** Names by number; append only. Number 0 is any path that is not in the list. */
export const ENDPOINTS = [
  "other",
  "chat/completions",
  "completions",
  "embeddings",
  "responses",
  "moderations",
  "models",
] as const;
export const METHODS = ["OTHER", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;

/** What the pipeline hands to the ring. Labels are blocks made when the configuration was compiled. */
export interface RequestRecord {
  startedAtMs: number;
  flags: number;
  costNanodollars: number;
  inputTokens: number;
  outputTokens: number;
  cachedTokens: number;
  reasoningTokens: number;
  requestBytes: number;
  responseBytes: number;
  totalUs: number;
  /** From handing the request to the transport to the response head; 0: there was none. */
  firstByteUs: number;
  /** From the request's arrival to the first body bytes handed to the client; 0: there were none. */
  ttftUs: number;
  /** The gateway's own work before the request went upstream. */
  gatewayUs: number;
  /** Status the client was sent; 499: it was gone before. */
  status: number;
  upstreamStatus: number;
  /** Number in the error table; 0: none. */
  error: number;
  endpoint: number;
  method: number;
  attempts: number;
  usageSource: number;
  kind: number;
  /** Of several ones of its provider the one that its last attempt was sent with, its number in the list, from 1; 0: there is no choice, or it was not sent. */
  credential: number;
  /** 4 or 16 bytes of the peer's address in network order; empty: unknown. */
  address: Uint8Array;
  requestId: string;
  key: Uint8Array;
  model: Uint8Array;
  upstreamModel: Uint8Array;
  provider: Uint8Array;
  path: string;
  /** How it came to its target or its error, beyond what the other fields say; empty: in the plain way. ASCII. */
  decision: string;
}
