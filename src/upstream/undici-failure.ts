/** Which row of the error table an undici or socket error is, before any byte of a response. Gateway worker. */
import { ERRORS, type ErrorRow } from "../base/errors.ts";

const TLS_CODES = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_UNTRUSTED",
  "CERT_REJECTED",
  "HOSTNAME_MISMATCH",
  "EPROTO",
]);

const BY_CODE = new Map<string, ErrorRow>([
  ["ETIMEDOUT", ERRORS.upstreamConnectTimeout],
  ["ECONNREFUSED", ERRORS.upstreamUnreachable],
  ["ENOTFOUND", ERRORS.upstreamUnreachable],
  ["EAI_AGAIN", ERRORS.upstreamUnreachable],
  ["EHOSTUNREACH", ERRORS.upstreamUnreachable],
  ["ENETUNREACH", ERRORS.upstreamUnreachable],
  ["EADDRNOTAVAIL", ERRORS.upstreamUnreachable],
  ["UND_ERR_HEADERS_OVERFLOW", ERRORS.upstreamProtocol],
  ["UND_ERR_RES_CONTENT_LENGTH_MISMATCH", ERRORS.upstreamProtocol],
  ["UND_ERR_INVALID_ARG", ERRORS.invalidHeader],
]);

/** `connected`: the connection had been made when it happened. */
export function failureOf(error: unknown, connected: boolean): ErrorRow {
  const code = codeOf(error);
  if (code.startsWith("ERR_TLS_") || code.startsWith("ERR_SSL_") || TLS_CODES.has(code)) return ERRORS.upstreamTls;
  const row = connected && code === "ETIMEDOUT" ? ERRORS.upstreamReset : BY_CODE.get(code);
  if (row !== undefined) return row;
  if (code.startsWith("HPE_") || (error instanceof Error && error.name === "HTTPParserError")) {
    return ERRORS.upstreamProtocol;
  }
  if (error instanceof Error && error.message === "bad response") return ERRORS.upstreamProtocol;
  return connected ? ERRORS.upstreamReset : connectFailure(error);
}

/** A TLS handshake that the peer breaks off has the code of a reset. */
function connectFailure(error: unknown): ErrorRow {
  const handshake = error instanceof Error && error.message.includes("secure TLS connection");
  return handshake ? ERRORS.upstreamTls : ERRORS.upstreamUnreachable;
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "";
}
