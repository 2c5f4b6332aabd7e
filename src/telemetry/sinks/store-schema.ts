/**
 * Tables of <dataDir>/usage.db.
 *
 * A request is a row of `request_rows`, small because it is written once per request: what is its own is there, and what
 * it has in common with others (names, status, flags) is a row of `label_sets`, made once. Whoever can connect can invent a
 * path, so it is in the first. `requests` is for readers: one row per request with everything in plain columns. Label sets and rings are never deleted while rows point to them.
 */

/** PRAGMA user_version. No release has written another one; append a migration when it grows. */
export const STORE_VERSION = 2;

/** What requests have in common, in the order of the table. */
export const LABEL_COLUMNS = [
  "key",
  "model",
  "upstream_model",
  "provider",
  "method",
  "endpoint",
  "status",
  "upstream_status",
  "error",
  "attempts",
  "stream",
  "client_aborted",
  "replayed",
  "unpriced",
  "usage_source",
] as const;

/** What the hourly sums sum, in the order of the table. */
export const SUM_COLUMNS = [
  "requests",
  "estimated",
  "unpriced",
  "input_tokens",
  "cached_tokens",
  "output_tokens",
  "reasoning_tokens",
  "cost_nanodollars",
  "request_bytes",
  "response_bytes",
] as const;

/** `error` is '' when there was none: two NULLs are never equal, and a set must be found again. */
export const SCHEMA = `
CREATE TABLE rings (id INTEGER PRIMARY KEY, ring_id TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE label_sets (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL, model TEXT NOT NULL, upstream_model TEXT NOT NULL, provider TEXT NOT NULL,
  method TEXT NOT NULL, endpoint TEXT NOT NULL,
  status INTEGER NOT NULL, upstream_status INTEGER NOT NULL, error TEXT NOT NULL, attempts INTEGER NOT NULL,
  stream INTEGER NOT NULL, client_aborted INTEGER NOT NULL, replayed INTEGER NOT NULL, unpriced INTEGER NOT NULL,
  usage_source TEXT NOT NULL,
  UNIQUE (${LABEL_COLUMNS.join(", ")})
) STRICT;
CREATE TABLE request_rows (
  ring INTEGER NOT NULL, seq INTEGER NOT NULL, label_set INTEGER NOT NULL,
  started_at_ms INTEGER NOT NULL, request_id TEXT NOT NULL, path TEXT NOT NULL, client_address TEXT NOT NULL,
  input_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL, cost_nanodollars INTEGER NOT NULL,
  request_bytes INTEGER NOT NULL, response_bytes INTEGER NOT NULL,
  total_us INTEGER NOT NULL, first_byte_us INTEGER NOT NULL, ttft_us INTEGER NOT NULL, gateway_us INTEGER NOT NULL,
  PRIMARY KEY (ring, seq)
) STRICT, WITHOUT ROWID;
CREATE VIEW requests AS SELECT
  ring_id, seq, started_at_ms, request_id, key, model, upstream_model, provider, method, path, endpoint,
  status, upstream_status, nullif(error, '') AS error, attempts, stream, client_aborted, replayed, unpriced,
  usage_source, input_tokens, cached_tokens, output_tokens, reasoning_tokens, cost_nanodollars,
  request_bytes, response_bytes, total_us, first_byte_us, ttft_us, gateway_us, client_address
  FROM request_rows JOIN rings ON rings.id = ring JOIN label_sets ON label_sets.id = label_set;
CREATE TABLE rollup_hourly (
  hour INTEGER NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL, status_class TEXT NOT NULL,
  requests INTEGER NOT NULL, estimated INTEGER NOT NULL, unpriced INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL, cost_nanodollars INTEGER NOT NULL,
  request_bytes INTEGER NOT NULL, response_bytes INTEGER NOT NULL,
  PRIMARY KEY (hour, key, model, provider, status_class)
) STRICT, WITHOUT ROWID;
CREATE TABLE ring_offsets (ring_id TEXT PRIMARY KEY, position INTEGER NOT NULL, torn INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE models (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
PRAGMA user_version = ${STORE_VERSION};
`;

/** `(?, ?, ...)`, `rows` times. */
export function placeholders(columns: number, rows = 1): string {
  const row = `(${Array(columns).fill("?").join(", ")})`;
  return Array(rows).fill(row).join(", ");
}
