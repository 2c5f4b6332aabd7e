/**
 * What of a provider's headers passes to the client, and the head that the undici transport tells of. Pure; gateway worker.
 * Nothing checks the lines after us, so every value is checked for line breaks here. The addon's parser makes the same out
 * of bytes, with the same list of dropped names.
 */
import type { ResponseHead } from "./transport.ts";

/** By lower-case name; several of one name are an array. */
export type ResponseHeaders = Record<string, string | string[] | undefined>;

/**
 * Hop by hop (RFC 9110 7.6.1), framing, credentials, what uWebSockets.js writes itself (date), and what is true of the
 * provider's host but not of ours: a client that followed its redirect would take its key and prompt past the gateway.
 */
export const DROPPED: ReadonlySet<string> = new Set([
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

/** `framed`: the protocol itself tells where the body ends, as HTTP/2 does. */
export function headOf(status: number, headers: ResponseHeaders, framed = false): ResponseHead {
  const length = headers["content-length"];
  return {
    status,
    lines: linesOf(headers),
    contentType: firstText(headers["content-type"]),
    contentEncoding: firstText(headers["content-encoding"]),
    upstreamRequestId: firstText(headers["x-request-id"]),
    contentLength: typeof length === "string" ? Number(length) : -1,
    closeDelimited: !framed && length === undefined && headers["transfer-encoding"] === undefined,
  };
}

function linesOf(headers: ResponseHeaders): string {
  const named = connectionNames(headers["connection"]);
  let lines = "";
  for (const name in headers) {
    if (!DROPPED.has(name) && !named?.has(name)) lines += headerLines(name, headers[name]);
  }
  return lines;
}

function headerLines(name: string, value: string | string[] | undefined): string {
  if (typeof value === "string") return isOneLine(value) ? `\r\n${name}: ${value}` : "";
  if (value === undefined) return "";
  let lines = "";
  for (const one of value) lines += headerLines(name, one);
  return lines;
}

function firstText(value: string | string[] | undefined): string {
  const first = typeof value === "string" ? value : (value?.[0] ?? "");
  return isOneLine(first) ? first : "";
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
