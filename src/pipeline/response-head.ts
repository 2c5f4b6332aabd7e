/**
 * The head of the client's answer: what passes of the provider's, and our own lines but for those of the client's
 * connection, which http/client-stream.ts adds.
 * Pure; gateway worker. A head is one string, "STATUS TEXT" and then CRLF name: value for each header, because one call into
 * uWebSockets.js instead of one per header saves 3 us of a request's 45 (measured).
 */

import { STATUS_CODES } from "node:http";
import { withoutHeaders } from "../base/header-lines.ts";
import type { ResponseHead } from "../upstream/transport.ts";
import type { Exchange } from "./exchange.ts";
import { explainLine } from "./explain-header.ts";
import { CLIENT_ERROR } from "./failure.ts";
import { LIMIT_HEADERS, RETRY_HEADERS } from "./limit-headers.ts";
import { serverTiming } from "./server-timing.ts";

const STATUS_LINES = new Map(Object.entries(STATUS_CODES).map(([code, text]) => [Number(code), `${code} ${text}`]));

function statusLine(status: number): string {
  return STATUS_LINES.get(status) ?? `${status} Unknown`;
}

/** The head of a relayed answer. */
export function responseHead(exchange: Exchange, { status, lines, upstreamRequestId }: ResponseHead): string {
  // Searched as it came: what is put together first would be copied for it.
  const theirs = withoutTheirLimits(exchange, status, lines);
  const id = upstreamRequestId === "" ? "" : `\r\nx-upstream-request-id: ${upstreamRequestId}`;
  return statusLine(status) + theirs + id + ownLines(exchange);
}

/** The provider's limits are of all of us together; a client reads one set of these headers, and one time to wait. */
function withoutTheirLimits(exchange: Exchange, status: number, lines: string): string {
  const { standing, retryLines } = exchange;
  const theirs = standing !== null && lines.includes("x-ratelimit-") ? withoutHeaders(lines, LIMIT_HEADERS) : lines;
  return retryLines !== "" && status >= CLIENT_ERROR ? withoutHeaders(theirs, RETRY_HEADERS) : theirs;
}

/** The head of an answer of our own; `extra`: more header lines, each with its CRLF before it. */
export function ownHead(exchange: Exchange, extra: string): string {
  return `${statusLine(exchange.status)}\r\ncontent-type: application/json${extra}${ownLines(exchange)}`;
}

function ownLines(exchange: Exchange): string {
  const why = exchange.ownLines === "" ? "" : explainLine(exchange);
  return `${exchange.retryLines}${why}\r\nserver-timing: ${serverTiming(exchange)}\r\nx-request-id: ${exchange.requestId}`;
}
