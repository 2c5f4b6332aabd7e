/**
 * The embedded store: <dataDir>/usage.db (SQLite). Written by the drain task in pool threads of the supervisor, one
 * transaction per batch, read by `sluice usage`.
 *
 * Exactly once: the rows, the sums and the ring's position are committed together, and the position in this database,
 * not the one in the ring, says where the next batch begins. `kill -9` before the commit: nothing happened, the records
 * are still in the ring. After it: the position is ahead of the ring's release position and the records are not read
 * again. Two processes that drain one ring: the second one finds another position than it read from and gives up.
 *
 * synchronous=NORMAL: a commit is in the page cache, which outlives a killed process; only a power cut can lose the last
 * seconds, and it leaves a sound database. FULL would wait for the disk five times a second and ring.
 */
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { CodedError, errorByNumber } from "../../base/errors.ts";
import type { DecodedRecord } from "../../shm/record-codec.ts";
import {
  ENDPOINTS,
  FLAG_CLIENT_ABORTED,
  FLAG_REPLAYED,
  FLAG_STREAM,
  FLAG_UNPRICED,
  METHODS,
  USAGE_SOURCES,
} from "../record.ts";
import { Rollup, type RollupRow } from "../rollup.ts";
import { ModelNames } from "./model-names.ts";
import { type Outcome, reasonOf, type Sink } from "./sink.ts";

/** PRAGMA user_version. Append a migration when it grows. */
export const STORE_VERSION = 1;
/** A checkpoint or a reader of the command line may hold a lock for a moment. */
const BUSY_TIMEOUT_MS = 5_000;
/** The WAL file is cut back to this after a checkpoint. */
const WAL_BYTES_KEPT = 16_777_216;

const SCHEMA = `
CREATE TABLE requests (
  ring_id TEXT NOT NULL, seq INTEGER NOT NULL, started_at_ms INTEGER NOT NULL, request_id TEXT NOT NULL,
  key TEXT NOT NULL, model TEXT NOT NULL, upstream_model TEXT NOT NULL, provider TEXT NOT NULL,
  method TEXT NOT NULL, path TEXT NOT NULL, endpoint TEXT NOT NULL,
  status INTEGER NOT NULL, upstream_status INTEGER NOT NULL, error TEXT, attempts INTEGER NOT NULL,
  stream INTEGER NOT NULL, client_aborted INTEGER NOT NULL, replayed INTEGER NOT NULL, unpriced INTEGER NOT NULL,
  usage_source TEXT NOT NULL, input_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL, cost_nanodollars INTEGER NOT NULL,
  request_bytes INTEGER NOT NULL, response_bytes INTEGER NOT NULL,
  total_us INTEGER NOT NULL, first_byte_us INTEGER NOT NULL, ttft_us INTEGER NOT NULL, gateway_us INTEGER NOT NULL,
  client_address TEXT NOT NULL,
  PRIMARY KEY (ring_id, seq)
) STRICT, WITHOUT ROWID;
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

const SUMS = [
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
];

export interface StoreBatch {
  readonly ringId: string;
  /** `position(ringId)` before the records were read. */
  readonly committed: number | null;
  /** Position behind the last record. */
  readonly end: number;
  readonly torn: number;
  readonly records: readonly DecodedRecord[];
}

export function storePath(dataDir: string): string {
  return join(dataDir, "usage.db");
}

export class Store implements Sink<StoreBatch> {
  readonly overflow = "wait-in-ring";
  readonly #database: DatabaseSync;
  readonly #models: ModelNames;
  readonly #insert: StatementSync;
  readonly #upsert: StatementSync;
  readonly #findPosition: StatementSync;
  readonly #setPosition: StatementSync;
  /** Sums of the last batch that was written, for /metrics. */
  #rows: readonly RollupRow[] = [];

  /** Opens or makes the database. Throws CodedError `store_version` for one of a newer release. */
  constructor(dataDir: string) {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    this.#database = openDatabase(storePath(dataDir));
    this.#models = new ModelNames(this.#database);
    this.#insert = this.#database.prepare(
      `INSERT INTO requests VALUES (${Array(32).fill("?").join(", ")}) ON CONFLICT (ring_id, seq) DO NOTHING`,
    );
    this.#upsert = this.#database.prepare(
      `INSERT INTO rollup_hourly VALUES (${Array(5 + SUMS.length)
        .fill("?")
        .join(", ")})
       ON CONFLICT DO UPDATE SET ${SUMS.map((column) => `${column} = ${column} + excluded.${column}`).join(", ")}`,
    );
    this.#findPosition = this.#database.prepare("SELECT position FROM ring_offsets WHERE ring_id = ?");
    this.#setPosition = this.#database.prepare(
      `INSERT INTO ring_offsets VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET position = excluded.position, torn = torn + excluded.torn`,
    );
  }

  /** Where the next batch of this ring begins; null: no batch was ever committed. */
  position(ringId: string): number | null {
    const row = this.#findPosition.get(ringId);
    return row === undefined ? null : Number(row["position"]);
  }

  /** One transaction. `held`: nothing changed, the records must stay in the ring. */
  write(batch: StoreBatch): Outcome {
    this.#rows = [];
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      if (this.position(batch.ringId) !== batch.committed) throw new Error("another process drains this ring");
      const rows = this.#insertAll(batch);
      this.#setPosition.run(batch.ringId, BigInt(batch.end), BigInt(batch.torn));
      this.#database.exec("COMMIT");
      this.#rows = rows;
      return { kind: "written" };
    } catch (error) {
      this.#rollBack();
      return { kind: "held", reason: reasonOf(error) };
    }
  }

  /** Sums of the last batch; none when it was held. */
  rollup(): readonly RollupRow[] {
    return this.#rows;
  }

  close(): void {
    this.#database.close();
  }

  #insertAll(batch: StoreBatch): RollupRow[] {
    const rollup = new Rollup();
    for (const record of batch.records) {
      // A row that exists was summed when it was inserted. It takes a database restored from a backup to get here.
      if (this.#insert.run(...requestColumns(batch.ringId, record)).changes !== 1) continue;
      rollup.add(record, this.#models.labelOf(record));
    }
    const rows = rollup.rows();
    for (const row of rows) this.#upsert.run(...rollupColumns(row));
    return rows;
  }

  #rollBack(): void {
    this.#models.forget();
    // A full disk makes SQLite roll back by itself, and a second ROLLBACK is an error.
    if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
  }
}

function openDatabase(path: string): DatabaseSync {
  // Made by us, so that addresses and key names are for the service's user only; SQLite gives its WAL the same mode.
  closeSync(openSync(path, "a", 0o600));
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
  database.exec(`PRAGMA journal_size_limit = ${WAL_BYTES_KEPT}`);
  migrate(database, path);
  return database;
}

/** Pool threads open the database at the same time: the version is read again under the lock. */
function migrate(database: DatabaseSync, path: string): void {
  if (versionOf(database) === STORE_VERSION) return;
  database.exec("BEGIN IMMEDIATE");
  const version = versionOf(database);
  if (version === 0) database.exec(SCHEMA);
  database.exec("COMMIT");
  if (version <= STORE_VERSION) return;
  database.close();
  throw new CodedError("store_version", `${path} was written by a newer release of Sluice (version ${version})`);
}

function versionOf(database: DatabaseSync): number {
  return Number(database.prepare("PRAGMA user_version").get()?.["user_version"] ?? 0);
}

/** In the order of the table. Numbers are whole; STRICT columns store them as integers. */
function requestColumns(ringId: string, record: DecodedRecord): (string | number | null)[] {
  return [
    ringId,
    record.seq,
    record.startedAtMs,
    record.requestId,
    record.key,
    record.model,
    record.upstreamModel,
    record.provider,
    METHODS[record.method] ?? METHODS[0],
    record.path,
    ENDPOINTS[record.endpoint] ?? ENDPOINTS[0],
    record.status,
    record.upstreamStatus,
    errorName(record.error),
    record.attempts,
    flag(record, FLAG_STREAM),
    flag(record, FLAG_CLIENT_ABORTED),
    flag(record, FLAG_REPLAYED),
    flag(record, FLAG_UNPRICED),
    USAGE_SOURCES[record.usageSource] ?? USAGE_SOURCES[0],
    record.inputTokens,
    record.cachedTokens,
    record.outputTokens,
    record.reasoningTokens,
    record.costNanodollars,
    record.requestBytes,
    record.responseBytes,
    record.totalUs,
    record.firstByteUs,
    record.ttftUs,
    record.gatewayUs,
    record.address,
  ];
}

/** Sums go in as BigInt: a double is exact here, but the addition in SQL must be one of integers. */
function rollupColumns(row: RollupRow): (string | bigint)[] {
  return [
    BigInt(row.hour),
    row.key,
    row.model,
    row.provider,
    row.statusClass,
    BigInt(row.requests),
    BigInt(row.estimated),
    BigInt(row.unpriced),
    BigInt(row.inputTokens),
    BigInt(row.cachedTokens),
    BigInt(row.outputTokens),
    BigInt(row.reasoningTokens),
    BigInt(row.costNanodollars),
    BigInt(row.requestBytes),
    BigInt(row.responseBytes),
  ];
}

function errorName(number: number): string | null {
  return number === 0 ? null : (errorByNumber(number)?.code ?? `error_${number}`);
}

function flag(record: DecodedRecord, bit: number): number {
  return (record.flags & bit) === 0 ? 0 : 1;
}
