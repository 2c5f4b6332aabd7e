/**
 * Settle and record: what a request used, what it cost, and the one record it leaves. Runs exactly once per exchange, and
 * before the last byte is handed to the client: whoever received a whole answer finds its record, also after `kill -9`.
 */

import { encodeLabel } from "../base/bytes.ts";
import { nowMs, wallMs } from "../base/clock.ts";
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import { KEY_LABEL_BYTES, MODEL_LABEL_BYTES, PROVIDER_LABEL_BYTES } from "../config/snapshot.ts";
import { closeScan, estimateTokens, readUsage, SEEN_USAGE, usage } from "../providers/response-scan.ts";
import type { CountersWriter } from "../shm/counters.ts";
import type { HistogramWriter } from "../shm/histogram-map.ts";
import { COUNTER } from "../shm/layout.ts";
import type { RingWriter } from "../shm/ring.ts";
import {
  FLAG_CLIENT_ABORTED,
  FLAG_REPLAYED,
  FLAG_STREAM,
  FLAG_UNPRICED,
  type RequestRecord,
  USAGE_ESTIMATED,
  USAGE_MEASURED,
  USAGE_NONE,
} from "../telemetry/record.ts";
import { costNanodollars, priceOf } from "./cost.ts";
import { ENDPOINT_EMBEDDINGS, takesModel } from "./endpoint.ts";
import type { Exchange } from "./exchange.ts";
import { recordLatencies } from "./latencies.ts";
import type { Limiter } from "./limit.ts";

const NO_KEY = encodeLabel("", KEY_LABEL_BYTES);
const NO_MODEL = encodeLabel("", MODEL_LABEL_BYTES);
const NO_PROVIDER = encodeLabel("", PROVIDER_LABEL_BYTES);
const NO_ADDRESS = new Uint8Array(0);

/** Written by one settle at a time and copied by the ring before it returns. */
const record: RequestRecord = {
  startedAtMs: 0,
  flags: 0,
  costNanodollars: 0,
  inputTokens: 0,
  outputTokens: 0,
  cachedTokens: 0,
  reasoningTokens: 0,
  requestBytes: 0,
  responseBytes: 0,
  totalUs: 0,
  firstByteUs: 0,
  ttftUs: 0,
  gatewayUs: 0,
  status: 0,
  upstreamStatus: 0,
  error: 0,
  endpoint: 0,
  method: 0,
  attempts: 0,
  usageSource: USAGE_NONE,
  address: NO_ADDRESS,
  requestId: "",
  key: NO_KEY,
  model: NO_MODEL,
  upstreamModel: NO_MODEL,
  provider: NO_PROVIDER,
  path: "",
};

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
  fillLabels(exchange);
  fillDurations(exchange, endMs);
  fillUsage(exchange);
  fillCost(exchange);
  limiter?.settle(exchange, record);
  counters.recordRequest(record);
  recordLatencies(exchange, endMs, histograms);
  if (!ring.push(record)) counters.add(COUNTER.recordsDropped, 1);
}

function fillOutcome(exchange: Exchange): void {
  const { error } = exchange;
  record.status = exchange.status === 0 && error !== null ? error.status : exchange.status;
  record.upstreamStatus = exchange.upstreamStatus;
  record.error = error === null ? 0 : error.number;
  record.endpoint = exchange.endpoint;
  record.method = exchange.methodNumber;
  record.attempts = exchange.attempts;
  record.requestBytes = exchange.bodyBytes;
  record.responseBytes = exchange.responseBytes;
  record.address = exchange.snapshot.recordAddress ? exchange.down.address() : NO_ADDRESS;
  const gone = error === ERRORS.clientAborted || error === ERRORS.clientStalled;
  record.flags =
    (exchange.stream ? FLAG_STREAM : 0) | (gone ? FLAG_CLIENT_ABORTED : 0) | (exchange.replayed ? FLAG_REPLAYED : 0);
}

function fillLabels(exchange: Exchange): void {
  const { key, route, target, model } = exchange;
  record.requestId = exchange.requestId;
  record.path = exchange.path;
  record.key = key === null ? NO_KEY : key.label;
  record.provider = target === null ? NO_PROVIDER : target.provider.label;
  // A route's name is made once; only names that clients choose are encoded here.
  const named = route !== null && route.alias === model;
  record.model = named ? route.label : model === "" ? NO_MODEL : encodeLabel(model, MODEL_LABEL_BYTES);
  const kept = target !== null && target.upstreamModel === null;
  record.upstreamModel = target === null ? NO_MODEL : kept ? record.model : target.upstreamModelLabel;
}

function fillDurations(exchange: Exchange, endMs: number): void {
  const { startedMs, authenticatedMs, bodyMs, forwardedMs, headMs, firstChunkMs } = exchange;
  record.startedAtMs = wallMs(startedMs);
  record.totalUs = us(endMs - startedMs);
  record.firstByteUs = headMs > 0 ? us(headMs - forwardedMs) : 0;
  record.ttftUs = firstChunkMs > 0 ? us(firstChunkMs - startedMs) : 0;
  const own = authenticatedMs > 0 ? authenticatedMs - startedMs : endMs - startedMs;
  record.gatewayUs = us(forwardedMs > 0 ? own + forwardedMs - bodyMs : own);
}

function us(ms: number): number {
  return Math.max(0, Math.round(ms * 1_000));
}

/** Measured where the provider said it; else estimated where an answer was being made; else none. */
function fillUsage(exchange: Exchange): void {
  setTokens(0, 0, USAGE_NONE);
  if (exchange.scan >= 0) {
    readUsage(exchange.scan);
    if ((exchange.seen & SEEN_USAGE) !== 0) {
      setTokens(usage.inputTokens, usage.outputTokens, USAGE_MEASURED);
      record.cachedTokens = Math.min(usage.cachedTokens, usage.inputTokens);
      record.reasoningTokens = usage.reasoningTokens;
      return;
    }
  }
  const output = exchange.scan >= 0 && exchange.endpoint !== ENDPOINT_EMBEDDINGS ? usage.estimatedOutputTokens : 0;
  // Whatever the path was called: text that a model wrote is not free.
  if (output > 0 || mayBeBilled(exchange)) {
    setTokens(estimateTokens(exchange.textBytes), output, USAGE_ESTIMATED);
  }
}

/** Ends of a request that its provider had and may go on with. */
const ENDED_BY_US = new Set<ErrorRow>([
  ERRORS.clientAborted,
  ERRORS.drainDeadline,
  ERRORS.upstreamFirstByteTimeout,
  ERRORS.upstreamTotalTimeout,
]);

/**
 * A model worked, or may have begun to: the provider accepted the request, or we ended it while the provider had it.
 * A provider that failed before its answer began bills nothing.
 */
function mayBeBilled({ sent, endpoint, upstreamStatus, error }: Exchange): boolean {
  if (!sent || !takesModel(endpoint)) return false;
  if (upstreamStatus === 0) return error !== null && ENDED_BY_US.has(error);
  return upstreamStatus >= 200 && upstreamStatus < 300;
}

function setTokens(inputTokens: number, outputTokens: number, source: number): void {
  record.inputTokens = inputTokens;
  record.outputTokens = outputTokens;
  record.cachedTokens = 0;
  record.reasoningTokens = 0;
  record.usageSource = source;
}

function fillCost(exchange: Exchange): void {
  record.costNanodollars = 0;
  if (record.usageSource === USAGE_NONE) return;
  const price = priceOf(exchange);
  if (price === null) record.flags |= FLAG_UNPRICED;
  else record.costNanodollars = costNanodollars(price, record.inputTokens, record.cachedTokens, record.outputTokens);
}

/** Gives the response scan's slot back; after settle. */
export function releaseScan(exchange: Exchange): void {
  if (exchange.scan < 0) return;
  closeScan(exchange.scan);
  exchange.scan = -1;
}
