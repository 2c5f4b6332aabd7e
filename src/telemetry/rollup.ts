/**
 * Sums over a batch of records: per hour, key, model, target (provider and upstream model), status class and kind, as the store
 * keeps them. Records of other kinds than requests add what they used, and are no requests. Pure; pool tasks. `series.ts` makes the sums for /metrics from the same rows.
 */
import { statusClassOf } from "../shm/counters.ts";
import { STATUS_CLASSES, type StatusClass } from "../shm/layout.ts";
import type { DecodedRecord } from "../shm/record-codec.ts";
import { FLAG_UNPRICED, KIND_REQUEST, KINDS, type RecordKind, USAGE_ESTIMATED } from "./record.ts";
import { TupleMap } from "./tuple-map.ts";

const HOUR_S = 3_600;
const HOUR_MS = HOUR_S * 1_000;

/** One row of rollup_hourly. Sums are whole numbers; a batch of 4,096 records stays far below 2^53. */
export interface RollupRow {
  /** Unix seconds of the beginning of the hour. */
  readonly hour: number;
  readonly key: string;
  readonly model: string;
  readonly provider: string;
  /** With the provider: the target. */
  readonly upstreamModel: string;
  readonly statusClass: StatusClass;
  readonly kind: RecordKind;
  requests: number;
  estimated: number;
  unpriced: number;
  inputTokens: number;
  cachedTokens: number;
  outputTokens: number;
  reasoningTokens: number;
  costNanodollars: number;
  requestBytes: number;
  responseBytes: number;
}

export class Rollup {
  readonly #rows: RollupRow[] = [];
  readonly #byIdentity = new TupleMap<RollupRow>();

  /** Adds `record` under these labels: its own names, or "other" (sinks/model-names.ts). */
  add(record: DecodedRecord, model: string, upstreamModel: string): void {
    const row = this.#rowFor(record, model, upstreamModel);
    if (record.kind === KIND_REQUEST) countRequest(row, record);
    row.inputTokens += record.inputTokens;
    row.cachedTokens += record.cachedTokens;
    row.outputTokens += record.outputTokens;
    row.reasoningTokens += record.reasoningTokens;
    row.costNanodollars += record.costNanodollars;
    row.requestBytes += record.requestBytes;
    row.responseBytes += record.responseBytes;
  }

  rows(): readonly RollupRow[] {
    return this.#rows;
  }

  #rowFor(record: DecodedRecord, model: string, upstreamModel: string): RollupRow {
    const { key, provider } = record;
    const hour = Math.floor(record.startedAtMs / HOUR_MS);
    const statusClass = statusClassOf(record.status);
    const kind = KINDS[record.kind] ?? KINDS[KIND_REQUEST];
    const entry = this.#byIdentity.at(hour).at(key).at(model).at(provider).at(upstreamModel).at(statusClass).at(kind);
    if (entry.value !== undefined) return entry.value;
    const className = STATUS_CLASSES[statusClass] ?? STATUS_CLASSES[0];
    const row = emptyRow({ hour: hour * HOUR_S, key, model, provider, upstreamModel, statusClass: className, kind });
    entry.value = row;
    this.#rows.push(row);
    return row;
  }
}

function countRequest(row: RollupRow, record: DecodedRecord): void {
  row.requests += 1;
  if (record.usageSource === USAGE_ESTIMATED) row.estimated += 1;
  if ((record.flags & FLAG_UNPRICED) !== 0) row.unpriced += 1;
}

type Identity = Pick<RollupRow, "hour" | "key" | "model" | "provider" | "upstreamModel" | "statusClass" | "kind">;

function emptyRow({ hour, key, model, provider, upstreamModel, statusClass, kind }: Identity): RollupRow {
  return {
    hour,
    key,
    model,
    provider,
    upstreamModel,
    statusClass,
    kind,
    requests: 0,
    estimated: 0,
    unpriced: 0,
    inputTokens: 0,
    cachedTokens: 0,
    outputTokens: 0,
    reasoningTokens: 0,
    costNanodollars: 0,
    requestBytes: 0,
    responseBytes: 0,
  };
}
