/** Records for tests and micro benchmarks. */
import { encodeLabel } from "../../src/base/bytes.ts";
import type { DecodedRecord } from "../../src/shm/record-codec.ts";
import { FLAG_STREAM, KIND_REQUEST, type RequestRecord, USAGE_MEASURED } from "../../src/telemetry/record.ts";

const NUMBERS = {
  startedAtMs: Date.UTC(2026, 0, 31, 10, 20, 30, 456),
  flags: FLAG_STREAM,
  costNanodollars: 4_125_000,
  inputTokens: 1_250,
  outputTokens: 312,
  cachedTokens: 1_024,
  reasoningTokens: 0,
  requestBytes: 4_411,
  responseBytes: 61_204,
  totalUs: 2_412_000,
  firstByteUs: 312_000,
  ttftUs: 340_000,
  gatewayUs: 92,
  status: 200,
  upstreamStatus: 200,
  error: 0,
  endpoint: 1,
  method: 3,
  attempts: 1,
  usageSource: USAGE_MEASURED,
  kind: KIND_REQUEST,
  credential: 0,
};

const TEXTS = { requestId: "req_0123456789abcdef0123456789abcdefzz", path: "/v1/chat/completions", decision: "" };

/** A streamed chat completion as the pipeline hands it to the ring, with `changes`. */
export function sampleRecord(changes: Partial<RequestRecord> = {}): RequestRecord {
  return {
    ...NUMBERS,
    ...TEXTS,
    address: Uint8Array.of(10, 1, 2, 3),
    key: encodeLabel("team-search-production", 48),
    model: encodeLabel("gpt-5-mini", 80),
    upstreamModel: encodeLabel("gpt-5-mini-2025-08-07", 80),
    provider: encodeLabel("openai", 48),
    ...changes,
  };
}

/** The same as a pool task reads it. */
export function decodedRecord(changes: Partial<DecodedRecord> = {}): DecodedRecord {
  return {
    seq: 0,
    ...NUMBERS,
    ...TEXTS,
    address: "10.1.2.3",
    key: "team-search-production",
    model: "gpt-5-mini",
    upstreamModel: "gpt-5-mini-2025-08-07",
    provider: "openai",
    ...changes,
  };
}
