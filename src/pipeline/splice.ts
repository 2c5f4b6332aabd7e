/**
 * The splices: the few bytes of a body that the provider has to see otherwise, put into the client's own bytes. Step of the
 * pipeline; reads the offsets of the body that was scanned last, in the same turn.
 */
import { SPLICE_ROOM_BYTES } from "../base/limits.ts";
import type { Target } from "../config/snapshot.ts";
import { hasUsageOption } from "./endpoint.ts";
import type { Exchange } from "./exchange.ts";
import { modelRange, scan } from "./read-body.ts";

const OPTION = Buffer.from('"include_usage":true');
const OPTION_FIRST = Buffer.from('"include_usage":true,');
const OPTIONS = Buffer.from('{"include_usage":true}');
const OPTIONS_FIRST = Buffer.from('"stream_options":{"include_usage":true},');
const OPTIONS_LAST = Buffer.from(',"stream_options":{"include_usage":true}');
const TRUE = Buffer.from("true");

/** What the usage option adds at most. */
export const USAGE_OPTION_BYTES_MAX = OPTIONS_LAST.length;

/** Of a whole body. The later splice first, so that the offsets of the earlier one stay true. */
export function spliceBody(exchange: Exchange, target: Target): void {
  const name = modelRange.start < 0 ? null : target.upstreamModelJson;
  const optionAt = wantsUsage(exchange, target) ? optionOffset() : -1;
  if (optionAt > modelRange.start) {
    spliceOption(exchange);
    if (name !== null) spliceModel(exchange, name);
  } else {
    if (name !== null) spliceModel(exchange, name);
    if (optionAt >= 0) spliceOption(exchange);
  }
}

/** Whether the usage option may be added to what calls this endpoint of the target, if it is a stream. */
export function takesUsage({ endpoint }: Exchange, target: Target): boolean {
  return target.usageOption && hasUsageOption(endpoint);
}

function wantsUsage(exchange: Exchange, target: Target): boolean {
  exchange.usageAdded = exchange.stream && takesUsage(exchange, target) && !scan.includeUsage;
  return exchange.usageAdded;
}

/** Puts `json` in the place of the model's name. */
export function spliceModel(exchange: Exchange, json: Uint8Array): void {
  // A form has the name bare, JSON has it quoted.
  const value = modelRange.json ? json : json.subarray(1, -1);
  splice(exchange, modelRange.start, modelRange.end, value);
}

/** Where spliceOption will write. */
function optionOffset(): number {
  if (scan.includeUsageStart >= 0) return scan.includeUsageStart;
  return scan.optionsStart >= 0 ? scan.optionsStart : scan.objectStart + 1;
}

function spliceOption(exchange: Exchange): void {
  if (scan.optionsStart >= 0) spliceOptions(exchange);
  else splice(exchange, scan.objectStart + 1, scan.objectStart + 1, OPTIONS_FIRST);
}

/** Into the client's stream_options. */
function spliceOptions(exchange: Exchange): void {
  if (scan.includeUsageStart >= 0) splice(exchange, scan.includeUsageStart, scan.includeUsageEnd, TRUE);
  else if (scan.optionsNull) splice(exchange, scan.optionsStart, scan.optionsEnd, OPTIONS);
  else {
    const at = scan.optionsStart + 1;
    splice(exchange, at, at, scan.optionsEmpty ? OPTION : OPTION_FIRST);
  }
}

/** The same where the beginning of the body is with the provider already: stream_options that are new come last. */
export function spliceUsageBehind(exchange: Exchange, target: Target): void {
  if (!wantsUsage(exchange, target)) return;
  if (scan.optionsStart >= 0) {
    spliceOptions(exchange);
    return;
  }
  const end = exchange.body === null ? -1 : exchange.body.lastIndexOf("}", exchange.bodyBytes - 1);
  splice(exchange, end, end, OPTIONS_LAST);
}

/** What one splice put in, and what was there. */
export interface Splice {
  readonly start: number;
  readonly length: number;
  readonly before: Buffer;
}

/** Makes the body what the client sent, for another target. */
export function unsplice(exchange: Exchange): void {
  const { splices } = exchange;
  exchange.splices = null;
  for (let last = splices?.pop(); last !== undefined; last = splices?.pop()) {
    splice(exchange, last.start, last.start + last.length, last.before);
  }
}

function noteSplice({ body, splices }: Exchange, start: number, end: number, length: number): void {
  if (body !== null && splices !== null)
    splices.push({ start, length, before: Buffer.from(body.subarray(start, end)) });
}

/** Replaces the bytes [start, end) of the body. */
function splice(exchange: Exchange, start: number, end: number, bytes: Uint8Array): void {
  noteSplice(exchange, start, end, bytes.length);
  const length = exchange.bodyBytes + bytes.length - (end - start);
  const body = roomFor(exchange, length);
  if (body === null) return;
  body.copyWithin(start + bytes.length, end, exchange.bodyBytes);
  body.set(bytes, start);
  exchange.bodyBytes = length;
}

/** The body, in a buffer of at least `length` bytes. */
export function roomFor(exchange: Exchange, length: number): Buffer | null {
  if (exchange.body === null || exchange.body.length >= length) return exchange.body;
  const larger = Buffer.allocUnsafe(length + SPLICE_ROOM_BYTES);
  exchange.body.copy(larger, 0, 0, exchange.bodyBytes);
  exchange.body = larger;
  return larger;
}
