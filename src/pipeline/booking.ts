/**
 * Booking: what an attempt used that did not bring the answer, but may be billed: a try that was sent and timed out, the loser of a hedge, a
 * shadow copy. Each leaves a record of its own kind, with the id of its request, at the price of its own target. Gateway worker; off the
 * hot path. Tries and hedges are part of what their request spent; shadow copies are not.
 */
import { nowMs, wallMs } from "../base/clock.ts";
import type { Target } from "../config/snapshot.ts";
import { COUNTER } from "../shm/layout.ts";
import { FLAG_STREAM, type KIND_HEDGE, KIND_SHADOW, type KIND_TRY, USAGE_NONE } from "../telemetry/record.ts";
import { entry, fillCost, fillLabels, fillUsage, microseconds, type Outcome } from "./entry.ts";
import type { Exchange } from "./exchange.ts";
import type { Books } from "./settle.ts";

export type BookedKind = typeof KIND_TRY | typeof KIND_HEDGE | typeof KIND_SHADOW;

/**
 * Books an attempt of an exchange at `target`, if it may be billed. Tries and hedges: before their exchange is settled, or budgets do not
 * know of them. Its response scan is closed by whoever opened it, afterwards.
 */
export function book(exchange: Exchange, kind: BookedKind, target: Target, outcome: Outcome, books: Books): void {
  fillUsage(exchange, outcome);
  if (entry.usageSource === USAGE_NONE) return;
  fillOutcome(exchange, kind, outcome);
  fillLabels(exchange, target);
  fillCost(exchange, target);
  if (kind !== KIND_SHADOW) books.limiter?.book(exchange, target, entry);
  books.counters.recordBooking(entry);
  if (!books.ring.push(entry)) books.counters.add(COUNTER.recordsDropped, 1);
}

/** Nothing of it went to the client. It is of the period in which its request began, and took until now. */
function fillOutcome(exchange: Exchange, kind: BookedKind, { upstreamStatus, error, credential }: Outcome): void {
  entry.kind = kind;
  entry.credential = credential + 1;
  entry.decision = "";
  entry.status = 0;
  entry.upstreamStatus = upstreamStatus;
  entry.error = error === null ? 0 : error.number;
  entry.flags = exchange.stream ? FLAG_STREAM : 0;
  entry.requestBytes = 0;
  entry.responseBytes = 0;
  entry.startedAtMs = wallMs(exchange.startedMs);
  entry.totalUs = microseconds(nowMs() - exchange.startedMs);
  entry.firstByteUs = 0;
  entry.ttftUs = 0;
  entry.gatewayUs = 0;
}
