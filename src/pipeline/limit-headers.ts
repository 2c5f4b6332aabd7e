/** How a client is told of limits: the headers that the OpenAI SDKs read. Gateway worker; pure. */

const NAMES = ["limit", "remaining", "reset"].flatMap((what) => [
  `x-ratelimit-${what}-requests`,
  `x-ratelimit-${what}-tokens`,
]);
export const LIMIT_HEADERS: ReadonlySet<string> = new Set(NAMES);

const MS_PER_S = 1_000;
const S_PER_MIN = 60;
const MIN_PER_H = 60;

/** "20ms", "1.5s", "6m0s", "1h0m30s", as OpenAI writes spans of time. */
export function spanText(ms: number): string {
  if (ms < MS_PER_S) return `${Math.ceil(ms)}ms`;
  const tenths = Math.ceil(ms / 100) / 10;
  if (tenths < S_PER_MIN) return `${tenths}s`;
  const seconds = Math.ceil(ms / MS_PER_S);
  const minutes = Math.floor(seconds / S_PER_MIN);
  const rest = `${minutes % MIN_PER_H}m${seconds % S_PER_MIN}s`;
  return minutes < MIN_PER_H ? rest : `${Math.floor(minutes / MIN_PER_H)}h${rest}`;
}

/** CRLF name: value of the three headers about `what`. */
export function standingLines(what: "requests" | "tokens", limit: number, remaining: number, resetMs: number): string {
  return `\r\nx-ratelimit-limit-${what}: ${limit}\r\nx-ratelimit-remaining-${what}: ${remaining}\r\nx-ratelimit-reset-${what}: ${spanText(resetMs)}`;
}

/** Both are rounded up: whoever waits for so long is not too early. */
export function retryLines(retryMs: number): string {
  return `\r\nretry-after: ${Math.ceil(retryMs / MS_PER_S)}\r\nretry-after-ms: ${Math.ceil(retryMs)}`;
}
