/**
 * The access log: one JSON object per line and record, appended to a file. Lives in the one thread of the access log's
 * pool. Fields are append-only for whoever parses them; neither prompts nor secrets can be in a record.
 *
 * While the file cannot be opened or written (ENOSPC, EACCES), lines are kept up to BATCH_BYTES_MAX and tried again with
 * the next batch; what does not fit is dropped whole, newest first, and counted. A restart hands them over, byte for byte. Not
 * exactly once: lines in memory are lost when the supervisor is killed. The store is the record; this is for eyes and log shippers.
 */
import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { errorByNumber } from "../../base/errors.ts";
import { BATCH_BYTES_MAX } from "../../base/limits.ts";
import type { DecodedRecord } from "../../shm/record-codec.ts";
import {
  ENDPOINTS,
  FLAG_CLIENT_ABORTED,
  FLAG_REPLAYED,
  FLAG_STREAM,
  FLAG_UNPRICED,
  KINDS,
  METHODS,
  USAGE_SOURCES,
} from "../record.ts";
import { type Outcome, reasonLabel, reasonOf, type Sink } from "./sink.ts";

const NEWLINE = 10;
const FILE_MODE = 0o640;
/** The last moment that a Date can be. */
const DATE_MS_MAX = 8.64e15;

/** What could not be written: whole lines, of which `written` bytes are in the file. */
export interface HeldLines {
  readonly path: string;
  readonly lines: Uint8Array;
  readonly written: number;
}

export class AccessLog implements Sink<readonly DecodedRecord[]> {
  readonly overflow = "drop-newest";
  readonly path: string;
  #file: number | null = null;
  /** Whole lines in order; of the first buffer, `#written` bytes are in the file. */
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #written = 0;

  constructor(path: string) {
    this.path = path;
  }

  write(batch: readonly DecodedRecord[]): Outcome {
    const lines = Buffer.from(batch.map(formatLine).join(""));
    if (this.#pendingBytes + lines.length > BATCH_BYTES_MAX) {
      const before = this.flush();
      if (before.kind === "held") return { kind: "dropped", reason: reasonLabel(before.reason), records: batch.length };
    }
    this.#pending.push(lines);
    this.#pendingBytes += lines.length;
    return this.flush();
  }

  /** Tries to write what is kept. */
  flush(): Outcome {
    try {
      this.#file ??= openLog(this.path);
      for (let first = this.#pending[0]; first !== undefined; first = this.#pending[0])
        this.#writeOut(this.#file, first);
      return { kind: "written" };
    } catch (error) {
      return { kind: "held", reason: reasonOf(error) };
    }
  }

  /** After rotation: goes on in a new file of the same name. A line that was cut begins again there. */
  reopen(): Outcome {
    this.close();
    const first = this.#pending[0];
    if (first !== undefined && this.#written > 0) {
      const lineBegin = first.lastIndexOf(NEWLINE, this.#written - 1) + 1;
      this.#written = lineBegin;
    }
    return this.flush();
  }

  /** What is kept goes to the log of another process, which goes on behind the last byte in the file. */
  take(): HeldLines {
    const held = { path: this.path, lines: Buffer.concat(this.#pending), written: this.#written };
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#written = 0;
    return held;
  }

  /** Before anything else is written. */
  hold({ lines, written }: HeldLines): void {
    this.#pending = [Buffer.from(lines)];
    this.#pendingBytes = lines.length;
    this.#written = written;
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }

  #writeOut(file: number, first: Buffer): void {
    while (this.#written < first.length) this.#written += writeSync(file, first, this.#written);
    this.#pending.shift();
    this.#pendingBytes -= first.length;
    this.#written = 0;
  }
}

function openLog(path: string): number {
  mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
  return openSync(path, "a", FILE_MODE);
}

/** One line with its newline. Durations in milliseconds with three decimals; cost in whole nano-dollars. */
export function formatLine(record: DecodedRecord): string {
  const line = {
    time: new Date(Math.min(record.startedAtMs, DATE_MS_MAX)).toISOString(),
    request_id: record.requestId,
    key: record.key,
    client_address: record.address,
    method: METHODS[record.method] ?? METHODS[0],
    path: record.path,
    endpoint: ENDPOINTS[record.endpoint] ?? ENDPOINTS[0],
    model: record.model,
    provider: record.provider,
    upstream_model: record.upstreamModel,
    status: record.status,
    upstream_status: record.upstreamStatus,
    error: record.error === 0 ? null : (errorByNumber(record.error)?.code ?? `error_${record.error}`),
    stream: (record.flags & FLAG_STREAM) !== 0,
    client_aborted: (record.flags & FLAG_CLIENT_ABORTED) !== 0,
    replayed: (record.flags & FLAG_REPLAYED) !== 0,
    attempts: record.attempts,
    usage_source: USAGE_SOURCES[record.usageSource] ?? USAGE_SOURCES[0],
    input_tokens: record.inputTokens,
    cached_tokens: record.cachedTokens,
    output_tokens: record.outputTokens,
    reasoning_tokens: record.reasoningTokens,
    cost_nanodollars: record.costNanodollars,
    unpriced: (record.flags & FLAG_UNPRICED) !== 0,
    duration_ms: record.totalUs / 1_000,
    first_byte_ms: record.firstByteUs / 1_000,
    ttft_ms: record.ttftUs / 1_000,
    gateway_ms: record.gatewayUs / 1_000,
    request_bytes: record.requestBytes,
    response_bytes: record.responseBytes,
    kind: KINDS[record.kind] ?? KINDS[0],
    decision: record.decision,
    credential: record.credential === 0 ? null : record.credential,
  };
  return `${JSON.stringify(line)}\n`;
}
