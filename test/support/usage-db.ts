/** Reads the usage database of a running Sluice. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Columns of the table `requests` that tests look at. */
export interface RecordRow {
  readonly request_id: string;
  readonly key: string;
  readonly model: string;
  readonly upstream_model: string;
  readonly provider: string;
  readonly endpoint: string;
  readonly status: number;
  readonly upstream_status: number;
  readonly error: string;
  readonly usage_source: string;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cached_tokens: number;
  readonly reasoning_tokens: number;
  readonly cost_nanodollars: number;
  readonly request_bytes: number;
  readonly response_bytes: number;
  readonly attempts: number;
}

/** All rows, oldest first; none while the database does not exist. */
export function readRecords(dataDir: string): RecordRow[] {
  const file = join(dataDir, "usage.db");
  if (!existsSync(file)) return [];
  const database = new DatabaseSync(file, { readOnly: true, timeout: 2_000 });
  try {
    const rows: unknown[] = database.prepare("SELECT * FROM requests ORDER BY rowid").all();
    return rows as RecordRow[];
  } finally {
    database.close();
  }
}
