/** What a head says of limits besides where they stand (native/limits-headers.cc). Gateway worker; pure. */

const NAMES = ["limit", "remaining", "reset"].flatMap((what) => [
  `x-ratelimit-${what}-requests`,
  `x-ratelimit-${what}-tokens`,
]);
export const LIMIT_HEADERS: ReadonlySet<string> = new Set(NAMES);

const MS_PER_S = 1_000;

/** Both are rounded up: whoever waits for so long is not too early. */
export function retryLines(retryMs: number): string {
  return `\r\nretry-after: ${Math.ceil(retryMs / MS_PER_S)}\r\nretry-after-ms: ${Math.ceil(retryMs)}`;
}
