/** What a head says of limits besides where they stand (native/limits-headers.cc). Gateway worker. */
import { wallMs } from "../base/clock.ts";
import { RETRY_ADVICE_MS_MAX } from "../base/limits.ts";
import type { Exchange } from "./exchange.ts";
import { retryAfterMs } from "./failure.ts";

const NAMES = ["limit", "remaining", "reset"].flatMap((what) => [
  `x-ratelimit-${what}-requests`,
  `x-ratelimit-${what}-tokens`,
]);
export const LIMIT_HEADERS: ReadonlySet<string> = new Set(NAMES);
export const RETRY_HEADERS: ReadonlySet<string> = new Set(["retry-after", "retry-after-ms"]);

const MS_PER_S = 1_000;

/** Both are rounded up: whoever waits for so long is not too early. */
export function retryLines(retryMs: number): string {
  return `\r\nretry-after: ${Math.ceil(retryMs / MS_PER_S)}\r\nretry-after-ms: ${Math.ceil(retryMs)}`;
}

/**
 * A failure that is the client's because the limits of all fallbacks had no room: when one of them has, unless that is late, or the provider says a
 * nearer time in `lines`, which are of its head.
 */
export function adviseRetry(exchange: Exchange, lines: string, nowMs: number): void {
  const waitMs = exchange.roomAtMs - nowMs;
  if (waitMs <= 0 || waitMs > RETRY_ADVICE_MS_MAX) return;
  const isSaid = lines.includes("\r\nretry-after");
  if (!isSaid || waitMs < retryAfterMs(lines, wallMs(nowMs))) exchange.retryLines = retryLines(waitMs);
}
