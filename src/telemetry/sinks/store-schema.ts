/**
 * Tables of <dataDir>/usage.db.
 *
 * A record is a row of `request_rows`, small because it is written once per request: what is its own is there, and what
 * it has in common with others (names, status, flags) is a row of `label_sets`, made once. Whoever can connect can invent a
 * path, so it is in the first. Two views are for readers, with everything in plain columns: `requests` has one row per request, and
 * `records` also those of attempts that did not bring the answer (`kind`). Label sets and rings are never deleted while rows point to them.
 */

/** PRAGMA user_version. When it grows, append to MIGRATIONS. */
export const STORE_VERSION = 6;

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
  "kind",
] as const;

/** What the hourly sums are kept by, in the order of the table. */
export const ROLLUP_LABEL_COLUMNS = [
  "hour",
  "key",
  "model",
  "provider",
  "upstream_model",
  "status_class",
  "kind",
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

const SUMS = SUM_COLUMNS.map((column) => `${column} INTEGER NOT NULL`).join(", ");

/** `error` is '' when there was none: two NULLs are never equal, and a set must be found again. */
export const SCHEMA = `
CREATE TABLE rings (id INTEGER PRIMARY KEY, ring_id TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE label_sets (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL, model TEXT NOT NULL, upstream_model TEXT NOT NULL, provider TEXT NOT NULL,
  method TEXT NOT NULL, endpoint TEXT NOT NULL,
  status INTEGER NOT NULL, upstream_status INTEGER NOT NULL, error TEXT NOT NULL, attempts INTEGER NOT NULL,
  stream INTEGER NOT NULL, client_aborted INTEGER NOT NULL, replayed INTEGER NOT NULL, unpriced INTEGER NOT NULL,
  usage_source TEXT NOT NULL, kind TEXT NOT NULL,
  UNIQUE (${LABEL_COLUMNS.join(", ")})
) STRICT;
CREATE TABLE request_rows (
  ring INTEGER NOT NULL, seq INTEGER NOT NULL, label_set INTEGER NOT NULL,
  started_at_ms INTEGER NOT NULL, request_id TEXT NOT NULL, path TEXT NOT NULL, client_address TEXT NOT NULL,
  input_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL, cost_nanodollars INTEGER NOT NULL,
  request_bytes INTEGER NOT NULL, response_bytes INTEGER NOT NULL,
  total_us INTEGER NOT NULL, first_byte_us INTEGER NOT NULL, ttft_us INTEGER NOT NULL, gateway_us INTEGER NOT NULL,
  decision TEXT NOT NULL DEFAULT '', credential INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (ring, seq)
) STRICT, WITHOUT ROWID;
CREATE VIEW records AS SELECT
  ring_id, seq, started_at_ms, request_id, key, model, upstream_model, provider, method, path, endpoint,
  status, upstream_status, nullif(error, '') AS error, attempts, stream, client_aborted, replayed, unpriced,
  usage_source, input_tokens, cached_tokens, output_tokens, reasoning_tokens, cost_nanodollars,
  request_bytes, response_bytes, total_us, first_byte_us, ttft_us, gateway_us, client_address, kind, decision,
  nullif(credential, 0) AS credential
  FROM request_rows JOIN rings ON rings.id = ring JOIN label_sets ON label_sets.id = label_set;
CREATE VIEW requests AS SELECT * FROM records WHERE kind = 'request';
CREATE TABLE rollup_hourly (
  hour INTEGER NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL,
  upstream_model TEXT NOT NULL, status_class TEXT NOT NULL, kind TEXT NOT NULL, ${SUMS},
  PRIMARY KEY (${ROLLUP_LABEL_COLUMNS.join(", ")})
) STRICT, WITHOUT ROWID;
CREATE TABLE ring_offsets (ring_id TEXT PRIMARY KEY, position INTEGER NOT NULL, torn INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE models (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
PRAGMA user_version = ${STORE_VERSION};
`;

/** A migration is never changed, so it has no name in it that may mean something else later. */
const SUMS_2 = `requests, estimated, unpriced, input_tokens, cached_tokens, output_tokens, reasoning_tokens, cost_nanodollars,
  request_bytes, response_bytes`;

/**
 * What each layout lacks of the next one, oldest first; the last one leads to STORE_VERSION. A migration runs in one
 * transaction, in front of the first batch, and loses no row.
 *
 * 2 to 3: sums by target. The upstream model of old sums is known where all requests of the same key, model, provider and
 * status class had the same one, and '' where they had several.
 *
 * 3 to 4: records of other kinds than requests. All that were written before are of requests.
 *
 * 4 to 5: the decision of a request; empty for those before.
 *
 * 5 to 6: the credential that it was sent with; nobody knows it of those before.
 */
export const MIGRATIONS: readonly string[] = [
  `
ALTER TABLE rollup_hourly RENAME TO rollup_2;
CREATE TABLE rollup_hourly (
  hour INTEGER NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL,
  upstream_model TEXT NOT NULL, status_class TEXT NOT NULL,
  requests INTEGER NOT NULL, estimated INTEGER NOT NULL, unpriced INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL, cost_nanodollars INTEGER NOT NULL,
  request_bytes INTEGER NOT NULL, response_bytes INTEGER NOT NULL,
  PRIMARY KEY (hour, key, model, provider, upstream_model, status_class)
) STRICT, WITHOUT ROWID;
CREATE TEMP TABLE known_targets (
  key TEXT, model TEXT, provider TEXT, status_class TEXT, upstream_model TEXT,
  PRIMARY KEY (key, model, provider, status_class)
) WITHOUT ROWID;
INSERT INTO known_targets
  SELECT key, model, provider, CASE WHEN status / 100 BETWEEN 1 AND 5 THEN (status / 100) || 'xx' ELSE 'none' END AS class,
    min(upstream_model)
  FROM label_sets WHERE model <> 'other' GROUP BY key, model, provider, class
  HAVING min(upstream_model) = max(upstream_model);
INSERT INTO rollup_hourly
  SELECT hour, key, model, provider, coalesce(upstream_model, ''), status_class, ${SUMS_2}
  FROM rollup_2 LEFT JOIN known_targets USING (key, model, provider, status_class);
DROP TABLE known_targets;
DROP TABLE rollup_2;
PRAGMA user_version = 3;
`,
  `
DROP VIEW requests;
ALTER TABLE label_sets RENAME TO label_sets_3;
CREATE TABLE label_sets (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL, model TEXT NOT NULL, upstream_model TEXT NOT NULL, provider TEXT NOT NULL,
  method TEXT NOT NULL, endpoint TEXT NOT NULL,
  status INTEGER NOT NULL, upstream_status INTEGER NOT NULL, error TEXT NOT NULL, attempts INTEGER NOT NULL,
  stream INTEGER NOT NULL, client_aborted INTEGER NOT NULL, replayed INTEGER NOT NULL, unpriced INTEGER NOT NULL,
  usage_source TEXT NOT NULL, kind TEXT NOT NULL,
  UNIQUE (key, model, upstream_model, provider, method, endpoint, status, upstream_status, error, attempts, stream,
    client_aborted, replayed, unpriced, usage_source, kind)
) STRICT;
INSERT INTO label_sets SELECT *, 'request' FROM label_sets_3;
DROP TABLE label_sets_3;
CREATE VIEW records AS SELECT
  ring_id, seq, started_at_ms, request_id, key, model, upstream_model, provider, method, path, endpoint,
  status, upstream_status, nullif(error, '') AS error, attempts, stream, client_aborted, replayed, unpriced,
  usage_source, input_tokens, cached_tokens, output_tokens, reasoning_tokens, cost_nanodollars,
  request_bytes, response_bytes, total_us, first_byte_us, ttft_us, gateway_us, client_address, kind
  FROM request_rows JOIN rings ON rings.id = ring JOIN label_sets ON label_sets.id = label_set;
CREATE VIEW requests AS SELECT * FROM records WHERE kind = 'request';
ALTER TABLE rollup_hourly RENAME TO rollup_3;
CREATE TABLE rollup_hourly (
  hour INTEGER NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL,
  upstream_model TEXT NOT NULL, status_class TEXT NOT NULL, kind TEXT NOT NULL,
  requests INTEGER NOT NULL, estimated INTEGER NOT NULL, unpriced INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL, cost_nanodollars INTEGER NOT NULL,
  request_bytes INTEGER NOT NULL, response_bytes INTEGER NOT NULL,
  PRIMARY KEY (hour, key, model, provider, upstream_model, status_class, kind)
) STRICT, WITHOUT ROWID;
INSERT INTO rollup_hourly
  SELECT hour, key, model, provider, upstream_model, status_class, 'request', ${SUMS_2} FROM rollup_3;
DROP TABLE rollup_3;
PRAGMA user_version = 4;
`,
  `
DROP VIEW requests;
DROP VIEW records;
ALTER TABLE request_rows ADD COLUMN decision TEXT NOT NULL DEFAULT '';
CREATE VIEW records AS SELECT
  ring_id, seq, started_at_ms, request_id, key, model, upstream_model, provider, method, path, endpoint,
  status, upstream_status, nullif(error, '') AS error, attempts, stream, client_aborted, replayed, unpriced,
  usage_source, input_tokens, cached_tokens, output_tokens, reasoning_tokens, cost_nanodollars,
  request_bytes, response_bytes, total_us, first_byte_us, ttft_us, gateway_us, client_address, kind, decision
  FROM request_rows JOIN rings ON rings.id = ring JOIN label_sets ON label_sets.id = label_set;
CREATE VIEW requests AS SELECT * FROM records WHERE kind = 'request';
PRAGMA user_version = 5;
`,
  `
DROP VIEW requests;
DROP VIEW records;
ALTER TABLE request_rows ADD COLUMN credential INTEGER NOT NULL DEFAULT 0;
CREATE VIEW records AS SELECT
  ring_id, seq, started_at_ms, request_id, key, model, upstream_model, provider, method, path, endpoint,
  status, upstream_status, nullif(error, '') AS error, attempts, stream, client_aborted, replayed, unpriced,
  usage_source, input_tokens, cached_tokens, output_tokens, reasoning_tokens, cost_nanodollars,
  request_bytes, response_bytes, total_us, first_byte_us, ttft_us, gateway_us, client_address, kind, decision,
  nullif(credential, 0) AS credential
  FROM request_rows JOIN rings ON rings.id = ring JOIN label_sets ON label_sets.id = label_set;
CREATE VIEW requests AS SELECT * FROM records WHERE kind = 'request';
PRAGMA user_version = 6;
`,
];

/** `(?, ?, ...)`, `rows` times. */
export function placeholders(columns: number, rows = 1): string {
  const row = `(${Array(columns).fill("?").join(", ")})`;
  return Array(rows).fill(row).join(", ");
}
