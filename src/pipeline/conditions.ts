/**
 * Whether the condition of a route holds for a request. Gateway worker, once per request of a model that has such routes, in the turn in
 * which its body was scanned, if it has one. Nothing here allocates, but for texts that a condition asks for.
 */
import { CONDITION_VALUE_BYTES_MAX } from "../base/limits.ts";
import type { Condition, Test } from "../config/snapshot.ts";
import { estimateTokens } from "../providers/response-scan.ts";
import type { Exchange } from "./exchange.ts";
import { scan } from "./read-body.ts";

const QUOTE = 0x22;
/** Each byte of a value can be an escape. */
const SPELLED_BYTES_MAX = CONDITION_VALUE_BYTES_MAX * 6 + 2;
/** Of a string that was cut somewhere: up to the last whole escape. */
const WHOLE_CHARACTERS = /^(?:[^\\]|\\u[0-9a-f]{4}|\\[^u])*/i;
const CRLF = "\r\n";

/** All of it. */
export function holds(when: Condition, exchange: Exchange): boolean {
  return (
    (when.stream === null || when.stream === exchange.stream) &&
    featuresHold(when, Math.max(exchange.features, 0)) &&
    sizeHolds(when, exchange) &&
    keyHolds(when, exchange) &&
    headersHold(when, exchange) &&
    bodyHolds(when, exchange)
  );
}

function featuresHold({ has, lacks, someOf }: Condition, features: number): boolean {
  return (features & has) === has && (features & lacks) === 0 && (someOf === 0 || (features & someOf) !== 0);
}

function sizeHolds({ promptTokensMin, promptTokensMax }: Condition, { textBytes }: Exchange): boolean {
  const tokens = estimateTokens(textBytes);
  return tokens >= promptTokensMin && tokens <= promptTokensMax;
}

function keyHolds({ keys }: Condition, { key }: Exchange): boolean {
  for (const { name, test } of keys) {
    const fact = key?.facts.get(name);
    if (fact === undefined || !passes(test, fact)) return false;
  }
  return true;
}

function headersHold({ headers }: Condition, exchange: Exchange): boolean {
  for (const { line, own, test } of headers) {
    if (!someLinePasses(own ? exchange.ownLines : exchange.lines, line, test)) return false;
  }
  return true;
}

/** A header may come several times. */
function someLinePasses(lines: string, line: string, test: Test): boolean {
  for (let at = lines.indexOf(line); at >= 0; at = lines.indexOf(line, at + line.length)) {
    const end = lines.indexOf(CRLF, at + line.length);
    if (passes(test, lines.slice(at + line.length, end < 0 ? lines.length : end))) return true;
  }
  return false;
}

/** A body that was not scanned, such as a form, has no fields. */
function bodyHolds({ body }: Condition, exchange: Exchange): boolean {
  if (body.length > 0 && exchange.features < 0) return false;
  for (const { place, test } of body) {
    if (!fieldPasses(exchange, scan.fieldStart(place), scan.fieldEnd(place), test)) return false;
  }
  return true;
}

function fieldPasses({ body }: Exchange, start: number, end: number, test: Test): boolean {
  if (body === null || start < 0 || end < 0) return false;
  if (end - start > SPELLED_BYTES_MAX) return body[start] === QUOTE && begins(body, start, test);
  const text = body.toString("utf8", start, end);
  if (body[start] !== QUOTE) return text !== "null" && (test.numbers.has(Number(text)) || passes(test, text));
  return passes(test, text.includes("\\") ? String(JSON.parse(text)) : text.slice(1, -1));
}

/** A text that is longer than any value: what it begins with is enough. */
function begins(body: Buffer, from: number, { prefixes }: Test): boolean {
  if (prefixes.length === 0) return false;
  const [spelled = '"'] = WHOLE_CHARACTERS.exec(body.toString("utf8", from, from + SPELLED_BYTES_MAX)) ?? [];
  const text = String(JSON.parse(`${spelled}"`));
  return prefixes.some((prefix) => text.startsWith(prefix));
}

function passes({ exact, prefixes }: Test, text: string): boolean {
  if (exact.has(text)) return true;
  for (const prefix of prefixes) if (text.startsWith(prefix)) return true;
  return false;
}
