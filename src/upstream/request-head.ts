/** The head of an upstream request as HTTP/1.1 writes it. Pure; gateway worker. */
import type { UpstreamRequest } from "./transport.ts";

/** Methods whose requests say that they have no body (RFC 9110 8.6). */
const BODY_METHODS: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);

/** Whole, as latin1, with its empty line. `hostLine`: CRLF host: NAME. */
export function requestHead({ method, path, lines, body }: UpstreamRequest, hostLine: string): string {
  const head = `${method} ${path} HTTP/1.1${hostLine}${lines}`;
  if (body !== null) return `${head}\r\ncontent-length: ${body.length}\r\n\r\n`;
  return BODY_METHODS.has(method) ? `${head}\r\ncontent-length: 0\r\n\r\n` : `${head}\r\n\r\n`;
}
