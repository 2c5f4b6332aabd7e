/** Which kind of failure a try ended with, for the decision about another one. Gateway worker; pure, on failures only. */
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import { FAILURES, failureBit } from "../config/snapshot.ts";

const MS_PER_S = 1_000;
const RETRY_AFTER = /\r\nretry-after: ([^\r]+)/;
const RETRY_AFTER_MS = /\r\nretry-after-ms: (\d+)/;

const BY_ERROR = new Map<ErrorRow, number>([
  [ERRORS.upstreamQueueFull, failureBit("connect")],
  [ERRORS.upstreamQueueTimeout, failureBit("connect")],
  [ERRORS.upstreamUnreachable, failureBit("connect")],
  [ERRORS.upstreamTls, failureBit("connect")],
  [ERRORS.upstreamConnectTimeout, failureBit("connect")],
  [ERRORS.upstreamProtocol, failureBit("reset")],
  [ERRORS.upstreamReset, failureBit("reset")],
  [ERRORS.upstreamCut, failureBit("reset")],
  [ERRORS.upstreamFirstByteTimeout, failureBit("timeout")],
  [ERRORS.upstreamIdleTimeout, failureBit("timeout")],
]);

/** From here on an answer says that something is wrong. */
export const CLIENT_ERROR = 400;
const UNAUTHORIZED = 401;
const SERVER_ERROR = 500;
const OF_SERVER = failureBit("server_error");
const OF_TARGETS = FAILURES.reduce((bits, failure) => bits | failureBit(failure), 0) & ~failureBit("conflict");

const BY_STATUS = new Map<number, number>([
  [401, failureBit("credential")],
  [407, failureBit("credential")],
  [408, failureBit("timeout")],
  [409, failureBit("conflict")],
  [425, failureBit("conflict")],
  [429, failureBit("rate_limit")],
]);

/** The bit of its kind; 0: it is none that another try would help. */
export function failureOf(error: ErrorRow): number {
  return BY_ERROR.get(error) ?? 0;
}

/** The same of an answer. */
export function failureOfStatus(status: number): number {
  if (status < UNAUTHORIZED) return 0;
  return status >= SERVER_ERROR ? OF_SERVER : (BY_STATUS.get(status) ?? 0);
}

/** Whether it says something about the target: that something else had it at the same time does not. */
export function isOfTarget(failure: number): boolean {
  return (failure & OF_TARGETS) !== 0;
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
