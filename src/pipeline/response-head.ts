/**
 * The head of the client's answer: the provider's headers without what belongs to that connection or to us, and ours.
 * Pure; gateway worker. uWebSockets.js writes what it is given, so every value is checked for line breaks here.
 */
import { STATUS_CODES } from "node:http";
import type { ResponseHeaders } from "../upstream/transport.ts";
import type { Exchange } from "./exchange.ts";
import { serverTiming } from "./server-timing.ts";

/** Hop by hop (RFC 9110 7.6.1), framing, credentials, what uWebSockets.js writes itself (date), and what is true of the provider's host but not of ours. */
const DROPPED = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authentication-info",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "content-length",
  "date",
  "set-cookie",
  "set-cookie2",
  "www-authenticate",
  "alt-svc",
  "strict-transport-security",
  "x-request-id",
  "server-timing",
]);

/** The parser closes idle connections after 10 s: clients that know stop using theirs before. */
const KEEP_ALIVE = "timeout=8";

const STATUS_LINES = new Map(Object.entries(STATUS_CODES).map(([code, text]) => [Number(code), `${code} ${text}`]));

export function statusLine(status: number): string {
  return STATUS_LINES.get(status) ?? `${status} Unknown`;
}

/** Flat header list for the client. */
export function responseHead(exchange: Exchange, headers: ResponseHeaders): string[] {
  const out: string[] = [];
  const named = connectionNames(headers["connection"]);
  for (const name in headers) {
    if (!DROPPED.has(name) && !named?.has(name)) appendHeader(out, name, headers[name]);
  }
  const upstreamId = headers["x-request-id"];
  if (typeof upstreamId === "string") appendHeader(out, "x-upstream-request-id", upstreamId);
  out.push("server-timing", serverTiming(exchange));
  appendOwn(out, exchange);
  return out;
}

/** What every answer carries, also those that no provider gave. */
export function appendOwn(out: string[], exchange: Exchange): void {
  out.push("x-request-id", exchange.requestId);
  if (exchange.closing) out.push("connection", "close");
  else out.push("keep-alive", KEEP_ALIVE);
}

function appendHeader(out: string[], name: string, value: string | string[] | undefined): void {
  if (typeof value === "string") {
    if (isOneLine(value)) out.push(name, value);
  } else if (value !== undefined) {
    for (const one of value) appendHeader(out, name, one);
  }
}

/** Neither CR, LF nor NUL: nothing that could end the header line. */
function isOneLine(value: string): boolean {
  for (let i = 0; i < value.length; i += 1) {
    const code = value.charCodeAt(i);
    if (code === 10 || code === 13 || code === 0) return false;
  }
  return true;
}

/** Headers that the provider's Connection header declares to be hop by hop; null: only the usual keep-alive or close. */
function connectionNames(value: string | string[] | undefined): Set<string> | null {
  if (value === undefined || value === "keep-alive" || value === "close") return null;
  const names = (typeof value === "string" ? value : value.join(",")).split(",");
  return new Set(names.map((name) => name.trim().toLowerCase()));
}
