/** How a client is told of limits: the headers that the OpenAI SDKs read. Gateway worker; pure. */
import { spanText } from "../base/span.ts";

const NAMES = ["limit", "remaining", "reset"].flatMap((what) => [
  `x-ratelimit-${what}-requests`,
  `x-ratelimit-${what}-tokens`,
]);
export const LIMIT_HEADERS: ReadonlySet<string> = new Set(NAMES);

const MS_PER_S = 1_000;

/** CRLF name: value of the three headers about `what`. */
export function standingLines(what: "requests" | "tokens", limit: number, remaining: number, resetMs: number): string {
  return `\r\nx-ratelimit-limit-${what}: ${limit}\r\nx-ratelimit-remaining-${what}: ${remaining}\r\nx-ratelimit-reset-${what}: ${spanText(resetMs)}`;
}

/** Both are rounded up: whoever waits for so long is not too early. */
export function retryLines(retryMs: number): string {
  return `\r\nretry-after: ${Math.ceil(retryMs / MS_PER_S)}\r\nretry-after-ms: ${Math.ceil(retryMs)}`;
}
