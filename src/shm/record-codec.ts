/**
 * A record (telemetry/record.ts) in and out of mapped memory. `encodeRecord` runs in the gateway worker's thread once
 * per request: no allocation, no exception, about a third of a microsecond. `decodeRecord` runs in pool tasks.
 * The check value is the last store of a record and covers all its other bytes, so that a half-written one is never read.
 */
import {
  AT,
  DECISION_LABEL_BYTES,
  PATH_LABEL_BYTES,
  RECORD_BYTES,
  RECORD_VERSION,
  REQUEST_ID_LABEL_BYTES,
  type RequestRecord,
} from "../telemetry/record.ts";
import { formatAddress } from "./address.ts";
import type { RingForm } from "./layout.ts";
import { TextCache } from "./text-cache.ts";

/** One mapping, seen in every width. */
export interface RecordViews {
  readonly f64: Float64Array;
  readonly u32: Uint32Array;
  readonly u16: Uint16Array;
  readonly u8: Buffer;
}

/** A record as pool tasks see it. Numbers are finite, whole and not negative, whatever the memory held. */
export interface DecodedRecord {
  readonly seq: number;
  readonly flags: number;
  readonly startedAtMs: number;
  readonly costNanodollars: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cachedTokens: number;
  readonly reasoningTokens: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly totalUs: number;
  readonly firstByteUs: number;
  readonly ttftUs: number;
  readonly gatewayUs: number;
  readonly status: number;
  readonly upstreamStatus: number;
  readonly error: number;
  readonly endpoint: number;
  readonly method: number;
  readonly attempts: number;
  readonly usageSource: number;
  readonly kind: number;
  readonly credential: number;
  readonly address: string;
  readonly requestId: string;
  readonly key: string;
  readonly model: string;
  readonly upstreamModel: string;
  readonly provider: string;
  readonly path: string;
  /** Empty also where its version knew none. */
  readonly decision: string;
}

const KEY_BYTES = AT.model - AT.key;
const MODEL_BYTES = AT.upstreamModel - AT.model;
const PROVIDER_BYTES = AT.path - AT.provider;
const US_MAX = 0xffff_ffff;
const PRIME_A = 0x9e3779b1;
const PRIME_B = 0x85ebca6b;
const QUESTION_MARK = 63;
const NOT_ASCII = /[^ -~]/g;

/** Of this thread. Blocks begin with their length, which is part of what is looked up. */
const labels = new TextCache((block) => block.toString("utf8", 1));
const paths = new TextCache((block) => block.toString("latin1", 1).replace(NOT_ASCII, "?"));
const addresses = new TextCache(formatAddress);

export function recordViews(mapping: ArrayBuffer): RecordViews {
  return {
    f64: new Float64Array(mapping),
    u32: new Uint32Array(mapping),
    u16: new Uint16Array(mapping),
    u8: Buffer.from(mapping),
  };
}

/**
 * The check value of the record of `bytes` at byte `at`: every step is a bijection of its lane, so one changed word always shows.
 * Four lanes, because one chain of multiplications takes four times as long.
 */
export function checkOf(u32: Uint32Array, at: number, bytes: number): number {
  const begin = at >>> 2;
  const end = begin + (bytes >>> 2);
  let a = (u32[begin + 1] ?? 0) ^ PRIME_A;
  let b = (u32[begin + 2] ?? 0) ^ PRIME_B;
  let c = (u32[begin + 3] ?? 0) ^ (PRIME_A << 1);
  let d = PRIME_B << 1;
  for (let i = begin + 4; i < end; i += 4) {
    a = Math.imul(((a << 13) | (a >>> 19)) ^ (u32[i] ?? 0), PRIME_A);
    b = Math.imul(((b << 13) | (b >>> 19)) ^ (u32[i + 1] ?? 0), PRIME_A);
    c = Math.imul(((c << 13) | (c >>> 19)) ^ (u32[i + 2] ?? 0), PRIME_A);
    d = Math.imul(((d << 13) | (d >>> 19)) ^ (u32[i + 3] ?? 0), PRIME_A);
  }
  a = Math.imul(a ^ (a >>> 15), PRIME_B) ^ b;
  c = Math.imul(c ^ (c >>> 15), PRIME_B) ^ d;
  return (Math.imul(a ^ (a >>> 13), PRIME_A) ^ c) >>> 0;
}

/** Writes `record` as number `seq` into the RECORD_BYTES at `at`, the check value last. */
export function encodeRecord(views: RecordViews, at: number, record: RequestRecord, seq: number): void {
  encodeNumbers(views, at, record, seq);
  encodeBytes(views, at, record);
  const { u8 } = views;
  encodeLabelBlock(u8, at + AT.key, record.key, KEY_BYTES);
  encodeLabelBlock(u8, at + AT.model, record.model, MODEL_BYTES);
  encodeLabelBlock(u8, at + AT.upstreamModel, record.upstreamModel, MODEL_BYTES);
  encodeLabelBlock(u8, at + AT.provider, record.provider, PROVIDER_BYTES);
  encodeLatin1(u8, at + AT.requestId, record.requestId, REQUEST_ID_LABEL_BYTES);
  encodeLatin1(u8, at + AT.path, record.path, PATH_LABEL_BYTES);
  encodeText(u8, at + AT.decision, record.decision, DECISION_LABEL_BYTES);
  views.u32[at >>> 2] = checkOf(views.u32, at, RECORD_BYTES);
}

function encodeNumbers(views: RecordViews, at: number, record: RequestRecord, seq: number): void {
  const { f64, u32 } = views;
  const double = at >>> 3;
  f64[double + AT.seq / 8] = seq;
  f64[double + AT.startedAtMs / 8] = record.startedAtMs;
  f64[double + AT.costNanodollars / 8] = record.costNanodollars;
  f64[double + AT.inputTokens / 8] = record.inputTokens;
  f64[double + AT.outputTokens / 8] = record.outputTokens;
  f64[double + AT.cachedTokens / 8] = record.cachedTokens;
  f64[double + AT.reasoningTokens / 8] = record.reasoningTokens;
  f64[double + AT.requestBytes / 8] = record.requestBytes;
  f64[double + AT.responseBytes / 8] = record.responseBytes;
  const word = at >>> 2;
  u32[word + AT.totalUs / 4] = Math.min(record.totalUs, US_MAX);
  u32[word + AT.firstByteUs / 4] = Math.min(record.firstByteUs, US_MAX);
  u32[word + AT.ttftUs / 4] = Math.min(record.ttftUs, US_MAX);
  u32[word + AT.gatewayUs / 4] = Math.min(record.gatewayUs, US_MAX);
}

function encodeBytes(views: RecordViews, at: number, record: RequestRecord): void {
  const { u16, u8 } = views;
  const half = at >>> 1;
  u16[half + AT.version / 2] = RECORD_VERSION;
  u16[half + AT.flags / 2] = record.flags;
  u16[half + AT.status / 2] = record.status;
  u16[half + AT.upstreamStatus / 2] = record.upstreamStatus;
  u16[half + AT.error / 2] = record.error;
  u8[at + AT.endpoint] = record.endpoint;
  u8[at + AT.method] = record.method;
  u8[at + AT.attempts] = record.attempts;
  u8[at + AT.usageSource] = record.usageSource;
  u8[at + AT.kind] = record.kind;
  u8[at + AT.credential] = record.credential;
  const length = record.address.length <= 16 ? record.address.length : 0;
  u8[at + AT.addressLength] = length;
  for (let i = 0; i < length; i += 1) u8[at + AT.address + i] = record.address[i] ?? 0;
}

/** A block that is empty or does not fit leaves an empty label: a record never overwrites its neighbour. */
function encodeLabelBlock(u8: Buffer, at: number, label: Uint8Array, bytes: number): void {
  if (label.length === 0 || label.length > bytes) u8[at] = 0;
  else u8.set(label, at);
}

/** What came in a request's head: no character beyond 255. A loop over them takes 40 ns more for a request's id. */
function encodeLatin1(u8: Buffer, at: number, text: string, bytes: number): void {
  const length = text.length < bytes ? text.length : bytes - 1;
  u8[at] = length;
  u8.write(text, at + 1, length, "latin1");
}

function encodeText(u8: Buffer, at: number, text: string, bytes: number): void {
  const length = text.length < bytes ? text.length : bytes - 1;
  u8[at] = length;
  for (let i = 0; i < length; i += 1) {
    const code = text.charCodeAt(i);
    u8[at + 1 + i] = code < 128 ? code : QUESTION_MARK;
  }
}

/** The record `seq` at `at`; null when the bytes there are not that record, whole. */
export function decodeRecord(views: RecordViews, at: number, seq: number, form: RingForm): DecodedRecord | null {
  const { f64, u32, u16, u8 } = views;
  if (u32[at >>> 2] !== checkOf(u32, at, form.recordBytes) || f64[(at + AT.seq) >>> 3] !== seq) return null;
  if (u16[(at + AT.version) >>> 1] !== form.recordVersion) return null;
  const whole = (field: number) => wholeNumber(f64[(at + field) >>> 3] ?? 0);
  const word = (field: number) => u32[(at + field) >>> 2] ?? 0;
  const half = (field: number) => u16[(at + field) >>> 1] ?? 0;
  const byte = (field: number) => u8[at + field] ?? 0;
  const label = (field: number, bytes: number) => decodeLabelBlock(views, at + field, bytes);
  return {
    seq,
    flags: half(AT.flags),
    startedAtMs: whole(AT.startedAtMs),
    costNanodollars: whole(AT.costNanodollars),
    inputTokens: whole(AT.inputTokens),
    outputTokens: whole(AT.outputTokens),
    cachedTokens: whole(AT.cachedTokens),
    reasoningTokens: whole(AT.reasoningTokens),
    requestBytes: whole(AT.requestBytes),
    responseBytes: whole(AT.responseBytes),
    totalUs: word(AT.totalUs),
    firstByteUs: word(AT.firstByteUs),
    ttftUs: word(AT.ttftUs),
    gatewayUs: word(AT.gatewayUs),
    status: half(AT.status),
    upstreamStatus: half(AT.upstreamStatus),
    error: half(AT.error),
    endpoint: byte(AT.endpoint),
    method: byte(AT.method),
    attempts: byte(AT.attempts),
    usageSource: byte(AT.usageSource),
    kind: byte(AT.kind),
    credential: byte(AT.credential),
    address: addresses.read(u32, u8, at + AT.address, byte(AT.addressLength)),
    requestId: decodeRequestId(u8, at + AT.requestId),
    key: label(AT.key, KEY_BYTES),
    model: label(AT.model, MODEL_BYTES),
    upstreamModel: label(AT.upstreamModel, MODEL_BYTES),
    provider: label(AT.provider, PROVIDER_BYTES),
    path: paths.read(u32, u8, at + AT.path, 1 + Math.min(byte(AT.path), PATH_LABEL_BYTES - 1)),
    decision: form.recordVersion < RECORD_VERSION ? "" : label(AT.decision, DECISION_LABEL_BYTES),
  };
}

function wholeNumber(value: number): number {
  return value > 0 ? Math.min(Math.round(value), Number.MAX_SAFE_INTEGER) : 0;
}

function decodeLabelBlock({ u32, u8 }: RecordViews, at: number, bytes: number): string {
  return labels.read(u32, u8, at, 1 + Math.min(u8[at] ?? 0, bytes - 1));
}

/** Never the same twice, and ASCII only: ours, or checked when it came (native/request-head.cc). */
function decodeRequestId(u8: Buffer, at: number): string {
  return u8.toString("latin1", at + 1, at + 1 + Math.min(u8[at] ?? 0, REQUEST_ID_LABEL_BYTES - 1));
}
