/**
 * An entry in the books: the one record object, and what a request and its single attempts have in common in it. Gateway worker; written by
 * one settle or booking at a time, and copied by the ring before that returns.
 */
import { encodeLabel } from "../base/bytes.ts";
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import { KEY_LABEL_BYTES, MODEL_LABEL_BYTES, PROVIDER_LABEL_BYTES, type Target } from "../config/snapshot.ts";
import { estimateTokens, readUsage, SEEN_USAGE, usage } from "../providers/response-scan.ts";
import {
  FLAG_UNPRICED,
  KIND_REQUEST,
  type RequestRecord,
  USAGE_ESTIMATED,
  USAGE_MEASURED,
  USAGE_NONE,
} from "../telemetry/record.ts";
import { costNanodollars, priceAt } from "./cost.ts";
import { ENDPOINT_EMBEDDINGS, takesModel } from "./endpoint.ts";
import type { Exchange } from "./exchange.ts";

const NO_KEY = encodeLabel("", KEY_LABEL_BYTES);
const NO_MODEL = encodeLabel("", MODEL_LABEL_BYTES);
const NO_PROVIDER = encodeLabel("", PROVIDER_LABEL_BYTES);
const NO_ADDRESS = new Uint8Array(0);

export const entry: RequestRecord = {
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
  kind: KIND_REQUEST,
  credential: 0,
  address: NO_ADDRESS,
  requestId: "",
  key: NO_KEY,
  model: NO_MODEL,
  upstreamModel: NO_MODEL,
  provider: NO_PROVIDER,
  path: "",
  decision: "",
};

/** In the place of a slot. */
export const NO_SCAN = -1;

/** How far an attempt came; the exchange knows it of the one that runs. */
export interface Outcome {
  /** The request was written, or began to be. */
  readonly sent: boolean;
  /** 0: no answer began. */
  readonly upstreamStatus: number;
  /** How it ended; null: well, or because it was not wanted any more. */
  readonly error: ErrorRow | null;
  /** Slot of the response scan, open still; NO_SCAN: none. */
  readonly scan: number;
  /** SEEN_ flags of the response scan. */
  readonly seen: number;
  /** Place of the credential that it was sent with; -1: its provider has no choice of them. */
  readonly credential: number;
}

/** Whose it is, and where it went. */
export function fillLabels(exchange: Exchange, target: Target | null): void {
  const { key, route, model } = exchange;
  entry.endpoint = exchange.endpoint;
  entry.method = exchange.methodNumber;
  entry.attempts = exchange.attempts;
  entry.address = exchange.snapshot.recordAddress ? exchange.down.address() : NO_ADDRESS;
  entry.requestId = exchange.requestId;
  entry.path = exchange.path;
  entry.key = key === null ? NO_KEY : key.label;
  entry.provider = target === null ? NO_PROVIDER : target.provider.label;
  // A route's name is made once; only names that clients choose are encoded here.
  const named = route !== null && route.alias === model;
  entry.model = named ? route.label : model === "" ? NO_MODEL : encodeLabel(model, MODEL_LABEL_BYTES);
  const kept = target !== null && target.upstreamModel === null;
  entry.upstreamModel = target === null ? NO_MODEL : kept ? entry.model : target.upstreamModelLabel;
}

/** Measured where the provider said it; else estimated where an answer was being made; else none. */
export function fillUsage(exchange: Exchange, outcome: Outcome): void {
  const { scan, seen } = outcome;
  setTokens(0, 0, USAGE_NONE);
  if (scan >= 0) {
    readUsage(scan);
    if ((seen & SEEN_USAGE) !== 0) {
      setTokens(usage.inputTokens, usage.outputTokens, USAGE_MEASURED);
      entry.cachedTokens = Math.min(usage.cachedTokens, usage.inputTokens);
      entry.reasoningTokens = usage.reasoningTokens;
      return;
    }
  }
  const output = scan >= 0 && exchange.endpoint !== ENDPOINT_EMBEDDINGS ? usage.estimatedOutputTokens : 0;
  // Whatever the path was called: text that a model wrote is not free.
  if (output > 0 || mayBeBilled(exchange, outcome)) {
    setTokens(estimateTokens(exchange.textBytes), output, USAGE_ESTIMATED);
  }
}

/** Ends of an attempt that its provider had and may go on with. */
const ENDED_BY_US = new Set<ErrorRow | null>([
  null,
  ERRORS.clientAborted,
  ERRORS.drainDeadline,
  ERRORS.upstreamFirstByteTimeout,
  ERRORS.upstreamTotalTimeout,
]);

/**
 * A model worked, or may have begun to: the provider accepted the request, or we ended it while the provider had it.
 * A provider that failed before its answer began bills nothing.
 */
function mayBeBilled({ endpoint, bodyPending }: Exchange, { sent, upstreamStatus, error }: Outcome): boolean {
  if (!sent || !takesModel(endpoint)) return false;
  // Of an upload that did not come to its end no provider has a whole request.
  if (upstreamStatus === 0) return !bodyPending && ENDED_BY_US.has(error);
  return upstreamStatus >= 200 && upstreamStatus < 300;
}

function setTokens(inputTokens: number, outputTokens: number, source: number): void {
  entry.inputTokens = inputTokens;
  entry.outputTokens = outputTokens;
  entry.cachedTokens = 0;
  entry.reasoningTokens = 0;
  entry.usageSource = source;
}

/** After the tokens and the flags. */
export function fillCost(exchange: Exchange, target: Target | null): void {
  entry.costNanodollars = 0;
  if (entry.usageSource === USAGE_NONE) return;
  const price = target === null ? null : priceAt(exchange, target);
  if (price === null) entry.flags |= FLAG_UNPRICED;
  else entry.costNanodollars = costNanodollars(price, entry.inputTokens, entry.cachedTokens, entry.outputTokens);
}

export function microseconds(ms: number): number {
  return Math.max(0, Math.round(ms * 1_000));
}
