/**
 * Whether a request that nobody makes would wait for a rate limit, where, and for how long. Gateway worker, of its own queue; command line,
 * where nobody waits. By the same questions as the queue's own, in their order; changes nothing.
 */
import { nowMs } from "../base/clock.ts";
import type { LimitRule } from "../base/limit-terms.ts";
import type { ExplainedQueue } from "../config/explanation.ts";
import type { Exchange, Verdict } from "./exchange.ts";
import type { Limiter, Peeked } from "./limit.ts";
import type { WaitLine } from "./wait-line.ts";
import { type Filling, reasonNotToWait, type WaitQueue, waitMsOf } from "./wait-queue.ts";

const EMPTY: Filling = { size: 0, bytes: 0 };

/** A request at the queue: what its limits say of it, and the line of those who wait for one of them already; null: nobody does. */
export interface Queued {
  readonly exchange: Exchange;
  readonly peeked: Peeked;
  readonly behind: WaitLine | null;
}

/** What it is answered with if it may not wait, or waits in vain. Others go first where they wait for the same limit. */
export function queueVerdict({ exchange, peeked, behind }: Queued, limiter: Limiter): Verdict {
  if (behind === null) return peeked.verdict;
  return limiter.refuseBehind(exchange, behind.rule, Math.max(1, behind.nextMs - nowMs()));
}

/** `waits`: null: nobody knows of any. Null: requests do not wait. */
export function explainQueue(queued: Queued, waits: WaitQueue | null): ExplainedQueue | null {
  const { exchange, peeked, behind } = queued;
  const { queue } = exchange.snapshot;
  if (queue === null) return null;
  const { size, bytes } = waits ?? EMPTY;
  const all = { requests: size, bytes, maxRequests: queue.maxRequests, maxBytes: queue.maxBytes };
  const rule = behind?.rule ?? peeked.refused?.rule ?? null;
  if (rule === null) return { ...all, limit: null, ahead: 0, waitMs: 0, drop: null };
  const line = behind ?? waits?.lineOf(exchange, rule) ?? null;
  return { ...all, ...placeOf(queued, rule, line, waits ?? EMPTY) };
}

function placeOf({ exchange, peeked, behind }: Queued, rule: LimitRule, line: WaitLine | null, filling: Filling) {
  const { key } = exchange;
  // Who comes behind others does not ask the limit.
  const retryMs = behind === null ? (peeked.refused?.retryMs ?? 0) : 0;
  const drop = reasonNotToWait(exchange, rule, retryMs, filling);
  const ahead = line === null ? 0 : line.ahead(key?.name ?? "", key?.priority ?? 0);
  return { limit: rule.name, ahead, waitMs: drop === null ? waitMsOf(exchange) : 0, drop };
}
