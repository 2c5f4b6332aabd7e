/**
 * What a provider's answer says of its rate limits: x-ratelimit-limit-requests, -remaining-requests, -reset-requests and the same of
 * tokens (OpenAI, Azure, Groq and others), and anthropic-ratelimit-requests-limit and so on. Gateway worker; pure. Only answers of
 * routes that choose by headroom are read; numbers are read in place, and what is none of these is passed over.
 */

/** Each below 0 where it was not said. */
export interface LimitReport {
  limit: number;
  remaining: number;
  /** Until it is full again. */
  resetMs: number;
}

/** Of the head that was read last. */
export const requestsReport: LimitReport = { limit: -1, remaining: -1, resetMs: -1 };
export const tokensReport: LimitReport = { limit: -1, remaining: -1, resetMs: -1 };

type Field = keyof LimitReport;

const STEM = "ratelimit-";
const OPENAI = "\r\nx-";
const ANTHROPIC = "\r\nanthropic-";
/** Of a header's name what comes behind the stem, and what it says. */
interface Row {
  readonly name: string;
  /** The first character of the name: most rows are out by it. */
  readonly initial: number;
  readonly report: LimitReport;
  readonly field: Field;
}

function rowOf(name: string, report: LimitReport, field: Field): Row {
  return { name: `${name}: `, initial: name.charCodeAt(0), report, field };
}

const FIELDS: readonly Row[] = [
  rowOf("limit-requests", requestsReport, "limit"),
  rowOf("limit-tokens", tokensReport, "limit"),
  rowOf("remaining-requests", requestsReport, "remaining"),
  rowOf("remaining-tokens", tokensReport, "remaining"),
  rowOf("reset-requests", requestsReport, "resetMs"),
  rowOf("reset-tokens", tokensReport, "resetMs"),
  rowOf("requests-limit", requestsReport, "limit"),
  rowOf("tokens-limit", tokensReport, "limit"),
  rowOf("requests-remaining", requestsReport, "remaining"),
  rowOf("tokens-remaining", tokensReport, "remaining"),
  rowOf("requests-reset", requestsReport, "resetMs"),
  rowOf("tokens-reset", tokensReport, "resetMs"),
];

/** Larger ones are as good as none. */
const NUMBER_MAX = 2 ** 31 - 1;
const DIGIT_0 = 48;
const DIGIT_9 = 57;
const DOT = 46;
const DASH = 45;
const MS_PER_S = 1_000;
/** Of "2026-01-01T00:00:00Z", before its first dash. */
const YEAR_CHARS = 4;
/** From here on a number of seconds is a time since 1970, and then one of milliseconds. */
const EPOCH_S = 1e9;
const EPOCH_MS = 1e12;

/** Fills both reports. `lines`: CRLF name: value for each header, names in lower case. False: it says nothing of limits. */
export function readRateHeaders(lines: string, wallMs: number): boolean {
  clear(requestsReport);
  clear(tokensReport);
  let found = false;
  for (let at = lines.indexOf(STEM); at >= 0; at = lines.indexOf(STEM, at)) {
    const isName = lines.startsWith(OPENAI, at - OPENAI.length) || lines.startsWith(ANTHROPIC, at - ANTHROPIC.length);
    at += STEM.length;
    if (isName && readField(lines, at, wallMs)) found = true;
  }
  return found;
}

function clear(report: LimitReport): void {
  report.limit = -1;
  report.remaining = -1;
  report.resetMs = -1;
}

function readField(lines: string, at: number, wallMs: number): boolean {
  const initial = lines.charCodeAt(at);
  for (let i = 0; i < FIELDS.length; i += 1) {
    const row = FIELDS[i];
    if (row === undefined || row.initial !== initial || !lines.startsWith(row.name, at)) continue;
    const from = at + row.name.length;
    const value = row.field === "resetMs" ? durationMs(lines, from, wallMs) : wholeNumber(lines, from);
    row.report[row.field] = value;
    return value >= 0;
  }
  return false;
}

function isDigit(code: number): boolean {
  return code >= DIGIT_0 && code <= DIGIT_9;
}

/** Up to the end of its line; -1: it is none. */
function wholeNumber(lines: string, from: number): number {
  let value = 0;
  let at = from;
  for (; isDigit(lines.charCodeAt(at)); at += 1)
    value = Math.min(NUMBER_MAX, value * 10 + lines.charCodeAt(at) - DIGIT_0);
  return at > from && isEnd(lines, at) ? value : -1;
}

function isEnd(lines: string, at: number): boolean {
  return at >= lines.length || lines.charCodeAt(at) === 13;
}

/** Of "1s", "6m0s", "20ms", "1h2m3.5s"; seconds without a unit; a time as Anthropic says it. -1: none of these. */
function durationMs(lines: string, from: number, wallMs: number): number {
  if (lines.charCodeAt(from + YEAR_CHARS) === DASH) return instantMs(lines, from, wallMs);
  let sumMs = 0;
  let at = from;
  while (!isEnd(lines, at)) {
    const end = endOfNumber(lines, at);
    const value = numberIn(lines, at, end);
    if (end === at) return -1;
    if (at === from && isEnd(lines, end)) return secondsMs(value, wallMs);
    const unitMs = unitOf(lines, end);
    if (unitMs === 0) return -1;
    sumMs += value * unitMs;
    at = end + (lines.startsWith("ms", end) ? 2 : 1);
  }
  return at > from ? sumMs : -1;
}

function endOfNumber(lines: string, from: number): number {
  let at = from;
  while (isDigit(lines.charCodeAt(at)) || lines.charCodeAt(at) === DOT) at += 1;
  return at;
}

function numberIn(lines: string, from: number, end: number): number {
  let value = 0;
  let scale = 0;
  for (let at = from; at < end; at += 1) {
    const code = lines.charCodeAt(at);
    if (code === DOT) scale = 1;
    else {
      value = value * 10 + code - DIGIT_0;
      scale *= 10;
    }
  }
  return scale > 1 ? value / scale : value;
}

/** A provider may say when instead of after how long. */
function secondsMs(value: number, wallMs: number): number {
  if (value >= EPOCH_MS) return Math.max(0, value - wallMs);
  return value >= EPOCH_S ? Math.max(0, value * MS_PER_S - wallMs) : value * MS_PER_S;
}

/** Milliseconds; 0: it is no unit. */
function unitOf(lines: string, at: number): number {
  if (lines.startsWith("ms", at)) return 1;
  switch (lines[at]) {
    case "s":
      return MS_PER_S;
    case "m":
      return 60_000;
    case "h":
      return 3_600_000;
    case "d":
      return 86_400_000;
    default:
      return 0;
  }
}

/** RFC 3339. */
function instantMs(lines: string, from: number, wallMs: number): number {
  const end = lines.indexOf("\r", from);
  const instant = Date.parse(lines.slice(from, end < 0 ? lines.length : end));
  return Number.isNaN(instant) ? -1 : Math.max(0, instant - wallMs);
}
