/**
 * The upstream request: the client's bytes with the few that must differ spliced in, the provider's path and headers.
 * Step of the pipeline; reads the offsets of the body that read-body.ts read in this turn.
 */
import { withoutHeaders } from "../base/header-lines.ts";
import { SPLICE_ROOM_BYTES } from "../base/limits.ts";
import type { Target } from "../config/snapshot.ts";
import type { UpstreamRequest } from "../upstream/transport.ts";
import { hasUsageOption, takesModel } from "./endpoint.ts";
import type { Exchange } from "./exchange.ts";
import { modelRange, scan } from "./read-body.ts";

const OPTION = Buffer.from('"include_usage":true');
const OPTION_FIRST = Buffer.from('"include_usage":true,');
const OPTIONS = Buffer.from('{"include_usage":true}');
const OPTIONS_FIRST = Buffer.from('"stream_options":{"include_usage":true},');
const TRUE = Buffer.from("true");

const IDENTITY = "\r\naccept-encoding: identity";
/** Length of "/v1". */
const VERSION_CHARS = 3;

/** Splices the body in place and describes the request. `target` is set. */
export function upstreamRequest(exchange: Exchange, target: Target): UpstreamRequest {
  spliceBody(exchange, target);
  return {
    method: exchange.method,
    path: pathOf(exchange, target),
    lines: linesOf(exchange, target),
    body: exchange.bodyView(),
    bodyReady: exchange.body === null ? 0 : exchange.bodyBytes,
  };
}

function pathOf(exchange: Exchange, target: Target): string {
  const path = target.basePath + exchange.path.slice(VERSION_CHARS);
  if (target.query === "") return exchange.query === "" ? path : `${path}?${exchange.query}`;
  return exchange.query === "" ? `${path}?${target.query}` : `${path}?${target.query}&${exchange.query}`;
}

function linesOf(exchange: Exchange, { provider }: Target): string {
  // The edge has kept the client's credentials already, so only fixed headers can be in the way.
  const theirs = provider.headerNames.size > 1 ? withoutHeaders(exchange.lines, provider.headerNames) : exchange.lines;
  return `${provider.lines}${theirs}${encodingLine(exchange)}\r\nx-request-id: ${exchange.requestId}`;
}

/** Usage is read from the bytes that pass, and nothing is ever decompressed. */
function encodingLine({ endpoint, acceptEncoding }: Exchange): string {
  if (takesModel(endpoint)) return IDENTITY;
  return acceptEncoding === "" ? "" : `\r\naccept-encoding: ${acceptEncoding}`;
}

/** The later splice first, so that the offsets of the earlier one stay true. */
function spliceBody(exchange: Exchange, target: Target): void {
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

function wantsUsage(exchange: Exchange, target: Target): boolean {
  exchange.usageAdded =
    exchange.stream && target.usageOption && hasUsageOption(exchange.endpoint) && !scan.includeUsage;
  return exchange.usageAdded;
}

function spliceModel(exchange: Exchange, json: Uint8Array): void {
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
  if (scan.includeUsageStart >= 0) splice(exchange, scan.includeUsageStart, scan.includeUsageEnd, TRUE);
  else if (scan.optionsStart < 0) splice(exchange, scan.objectStart + 1, scan.objectStart + 1, OPTIONS_FIRST);
  else if (scan.optionsNull) splice(exchange, scan.optionsStart, scan.optionsEnd, OPTIONS);
  else {
    const at = scan.optionsStart + 1;
    splice(exchange, at, at, scan.optionsEmpty ? OPTION : OPTION_FIRST);
  }
}

/** Replaces the bytes [start, end) of the body. */
function splice(exchange: Exchange, start: number, end: number, bytes: Uint8Array): void {
  const length = exchange.bodyBytes + bytes.length - (end - start);
  const body = roomFor(exchange, length);
  if (body === null) return;
  body.copyWithin(start + bytes.length, end, exchange.bodyBytes);
  body.set(bytes, start);
  exchange.bodyBytes = length;
}

function roomFor(exchange: Exchange, length: number): Buffer | null {
  if (exchange.body === null || exchange.body.length >= length) return exchange.body;
  const larger = Buffer.allocUnsafe(length + SPLICE_ROOM_BYTES);
  exchange.body.copy(larger, 0, 0, exchange.bodyBytes);
  exchange.body = larger;
  return larger;
}
