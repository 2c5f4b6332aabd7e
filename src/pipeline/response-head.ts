/**
 * The head of the client's answer: the provider's headers without what belongs to that connection or to us, and ours but
 * for those of the client's connection, which http/client-stream.ts adds.
 * Pure; gateway worker. A head is one string, "STATUS TEXT" and then CRLF name: value for each header, because one call into
 * uWebSockets.js instead of one per header saves 3 us of a request's 45 (measured). Nothing checks it after us, so every
 * value is checked for line breaks here.
 */
import { STATUS_CODES } from "node:http";
import type { ResponseHeaders } from "../upstream/transport.ts";
import type { Exchange } from "./exchange.ts";
import { serverTiming } from "./server-timing.ts";

/**
 * Hop by hop (RFC 9110 7.6.1), framing, credentials, what uWebSockets.js writes itself (date), and what is true of the
 * provider's host but not of ours: a client that followed its redirect would take its key and prompt past the gateway.
 */
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
  "location",
  "alt-svc",
  "strict-transport-security",
  "x-request-id",
  "server-timing",
]);

const STATUS_LINES = new Map(Object.entries(STATUS_CODES).map(([code, text]) => [Number(code), `${code} ${text}`]));

function statusLine(status: number): string {
  return STATUS_LINES.get(status) ?? `${status} Unknown`;
}

/** The head of a relayed answer. */
export function responseHead(exchange: Exchange, status: number, headers: ResponseHeaders): string {
  let head = statusLine(status);
  const named = connectionNames(headers["connection"]);
  for (const name in headers) {
    if (!DROPPED.has(name) && !named?.has(name)) head += headerLines(name, headers[name]);
  }
  return `${head}${headerLines("x-upstream-request-id", headers["x-request-id"])}${ownLines(exchange)}`;
}

/** The head of an answer of our own; `extra`: more header lines, each with its CRLF before it. */
export function ownHead(exchange: Exchange, extra: string): string {
  return `${statusLine(exchange.status)}\r\ncontent-type: application/json${extra}${ownLines(exchange)}`;
}

function ownLines(exchange: Exchange): string {
  return `\r\nserver-timing: ${serverTiming(exchange)}\r\nx-request-id: ${exchange.requestId}`;
}

function headerLines(name: string, value: string | string[] | undefined): string {
  if (typeof value === "string") return isOneLine(value) ? `\r\n${name}: ${value}` : "";
  if (value === undefined) return "";
  let lines = "";
  for (const one of value) lines += headerLines(name, one);
  return lines;
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
