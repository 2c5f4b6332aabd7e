/** Which kind of failure a try ended with, for the decision about another one. Gateway worker; pure, on failures only. */
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import { FAILURES, type Failure } from "../config/snapshot.ts";

const MS_PER_S = 1_000;
const RETRY_AFTER = /\r\nretry-after: ([^\r]+)/;
const RETRY_AFTER_MS = /\r\nretry-after-ms: (\d+)/;

function bitOf(failure: Failure): number {
  return 1 << FAILURES.indexOf(failure);
}

const BY_ERROR = new Map<ErrorRow, number>([
  [ERRORS.upstreamQueueFull, bitOf("connect")],
  [ERRORS.upstreamQueueTimeout, bitOf("connect")],
  [ERRORS.upstreamUnreachable, bitOf("connect")],
  [ERRORS.upstreamTls, bitOf("connect")],
  [ERRORS.upstreamConnectTimeout, bitOf("connect")],
  [ERRORS.upstreamProtocol, bitOf("reset")],
  [ERRORS.upstreamReset, bitOf("reset")],
  [ERRORS.upstreamFirstByteTimeout, bitOf("timeout")],
]);

/** The bit of its kind; 0: it is none that another try would help. */
export function failureOf(error: ErrorRow): number {
  return BY_ERROR.get(error) ?? 0;
}

/** The same of an answer. */
export function failureOfStatus(status: number): number {
  if (status === 401 || status === 407) return bitOf("credential");
  if (status === 429) return bitOf("rate_limit");
  return status >= 500 ? bitOf("server_error") : 0;
}

/** How long a provider wants to be left alone (RFC 9110 10.2.3, and the more exact field of OpenAI's), milliseconds; 0: it did not say. */
export function retryAfterMs(lines: string, wallMs: number): number {
  const exact = RETRY_AFTER_MS.exec(lines)?.[1];
  if (exact !== undefined) return Number(exact);
  const text = RETRY_AFTER.exec(lines)?.[1] ?? "";
  const seconds = text === "" ? 0 : Number(text);
  const waitMs = Number.isNaN(seconds) ? Date.parse(text) - wallMs : seconds * MS_PER_S;
  return waitMs > 0 ? waitMs : 0;
}
