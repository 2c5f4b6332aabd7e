/** Reads the usage database of a running Sluice. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Columns of the views `requests` and `records` that tests look at. */
export interface RecordRow {
  readonly request_id: string;
  readonly key: string;
  readonly model: string;
  readonly upstream_model: string;
  readonly provider: string;
  readonly method: string;
  readonly path: string;
  readonly endpoint: string;
  readonly status: number;
  readonly upstream_status: number;
  readonly error: string | null;
  readonly attempts: number;
  readonly stream: number;
  readonly client_aborted: number;
  readonly replayed: number;
  readonly unpriced: number;
  readonly usage_source: string;
  readonly input_tokens: number;
  readonly cached_tokens: number;
  readonly output_tokens: number;
  readonly reasoning_tokens: number;
  readonly cost_nanodollars: number;
  readonly request_bytes: number;
  readonly response_bytes: number;
  readonly client_address: string;
  readonly kind: string;
  readonly decision: string;
  readonly credential: number | null;
}

/** All rows, oldest first. */
export function readRecords(dataDir: string): RecordRow[] {
  return query(dataDir, "SELECT * FROM requests ORDER BY started_at_ms, ring_id, seq");
}

/** The rows of one request: more than one would be a defect. */
export function recordsOf(dataDir: string, requestId: string): RecordRow[] {
  return query(dataDir, "SELECT * FROM requests WHERE request_id = ?", requestId);
}

/** All rows of one request, also those of attempts that did not bring its answer, oldest first. */
export function attemptsOf(dataDir: string, requestId: string): RecordRow[] {
  return query(dataDir, "SELECT * FROM records WHERE request_id = ? ORDER BY ring_id, seq", requestId);
}

function query(dataDir: string, sql: string, ...parameters: string[]): RecordRow[] {
  const file = join(dataDir, "usage.db");
  if (!existsSync(file)) return [];
  const database = new DatabaseSync(file, { readOnly: true, timeout: 2_000 });
  try {
    if (database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'requests'").all().length === 0) return [];
    const rows: unknown[] = database.prepare(sql).all(...parameters);
    return rows as RecordRow[];
  } finally {
    database.close();
  }
}
