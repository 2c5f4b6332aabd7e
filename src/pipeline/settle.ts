/**
 * Settle and record: what a request used, what it cost, and the one record it leaves. Runs exactly once per exchange, and
 * before the last byte is handed to the client: whoever received a whole answer finds its record, also after `kill -9`.
 */

import { nowMs, wallMs } from "../base/clock.ts";
import { ERRORS } from "../base/errors.ts";
import { closeScan } from "../providers/response-scan.ts";
import type { CountersWriter } from "../shm/counters.ts";
import type { HistogramWriter } from "../shm/histogram-map.ts";
import { COUNTER } from "../shm/layout.ts";
import type { RingWriter } from "../shm/ring.ts";
import { FLAG_CLIENT_ABORTED, FLAG_REPLAYED, FLAG_STREAM, KIND_REQUEST } from "../telemetry/record.ts";
import { decisionText } from "./decision.ts";
import { entry, fillCost, fillLabels, fillUsage, microseconds } from "./entry.ts";
import type { Exchange } from "./exchange.ts";
import { recordLatencies } from "./latencies.ts";
import type { Limiter } from "./limit.ts";

/** Where a finished request leaves its traces. */
export interface Books {
  readonly ring: RingWriter;
  readonly counters: CountersWriter;
  readonly histograms: HistogramWriter;
  /** Null: nothing is limited. */
  readonly limiter: Limiter | null;
}

/** Writes the record and counts it; a second call does nothing. */
export function settle(exchange: Exchange, { ring, counters, histograms, limiter }: Books): void {
  if (exchange.settled) return;
  exchange.settled = true;
  const endMs = nowMs();
  fillOutcome(exchange);
  fillLabels(exchange, exchange.target);
  fillDurations(exchange, endMs);
  fillUsage(exchange, exchange);
  fillCost(exchange, exchange.target);
  limiter?.settle(exchange, entry);
  counters.recordRequest(entry);
  recordLatencies(exchange, endMs, histograms);
  if (!ring.push(entry)) counters.add(COUNTER.recordsDropped, 1);
}

function fillOutcome(exchange: Exchange): void {
  const { error } = exchange;
  entry.kind = KIND_REQUEST;
  entry.credential = exchange.credential + 1;
  entry.decision = decisionText(exchange);
  entry.status = exchange.status === 0 && error !== null ? error.status : exchange.status;
  entry.upstreamStatus = exchange.upstreamStatus;
  entry.error = error === null ? 0 : error.number;
  entry.requestBytes = exchange.bodyBytes;
  entry.responseBytes = exchange.responseBytes;
  const gone = error === ERRORS.clientAborted || error === ERRORS.clientStalled;
  entry.flags =
    (exchange.stream ? FLAG_STREAM : 0) | (gone ? FLAG_CLIENT_ABORTED : 0) | (exchange.replayed ? FLAG_REPLAYED : 0);
}

function fillDurations(exchange: Exchange, endMs: number): void {
  const { startedMs, authenticatedMs, bodyMs, forwardedMs, headMs, firstChunkMs } = exchange;
  entry.startedAtMs = wallMs(startedMs);
  entry.totalUs = microseconds(endMs - startedMs);
  entry.firstByteUs = headMs > 0 ? microseconds(headMs - forwardedMs) : 0;
  entry.ttftUs = firstChunkMs > 0 ? microseconds(firstChunkMs - startedMs) : 0;
  const own = authenticatedMs > 0 ? authenticatedMs - startedMs : endMs - startedMs;
  entry.gatewayUs = microseconds(forwardedMs > 0 ? own + forwardedMs - bodyMs : own);
}

/** Gives the response scan's slot back; after settle. */
export function releaseScan(exchange: Exchange): void {
  if (exchange.scan < 0) return;
  closeScan(exchange.scan);
  exchange.scan = -1;
}
