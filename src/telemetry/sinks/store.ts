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
 * seconds, and it leaves a sound database. FULL would wait for the disk ten times a second and ring.
 */
import { closeSync, existsSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { CodedError } from "../../base/errors.ts";
import type { DecodedRecord } from "../../shm/record-codec.ts";
import { Rollup, type RollupRow } from "../rollup.ts";
import { ModelNames, upstreamLabelOf } from "./model-names.ts";
import { RequestRows } from "./request-rows.ts";
import { type Outcome, reasonOf, type Sink } from "./sink.ts";
import { MIGRATIONS, placeholders, ROLLUP_LABEL_COLUMNS, SCHEMA, STORE_VERSION, SUM_COLUMNS } from "./store-schema.ts";

/** A checkpoint or a reader of the command line may hold a lock for a moment. */
const BUSY_TIMEOUT_MS = 5_000;
/** The WAL file is cut back to this after a checkpoint. */
const WAL_BYTES_KEPT = 16_777_216;

export interface StoreBatch {
  readonly ringId: string;
  /** `position(ringId)` before the records were read. */
  readonly committed: number | null;
  /** Position behind the last record. */
  readonly end: number;
  /** Read while they are written, so that few records are alive at a time. */
  readonly portions: Iterable<Portion>;
}

export interface Portion {
  /** In the order of their positions. */
  readonly records: readonly DecodedRecord[];
  readonly torn: number;
}

/** What a batch came to. */
export interface Written {
  readonly records: number;
  readonly torn: number;
  /** Sums of the records that were not in the store yet, for /metrics. */
  readonly rollup: readonly RollupRow[];
}

export const NOTHING_WRITTEN: Written = { records: 0, torn: 0, rollup: [] };

export function storePath(dataDir: string): string {
  return join(dataDir, "usage.db");
}

export class Store implements Sink<StoreBatch> {
  readonly overflow = "wait-in-ring";
  readonly #database: DatabaseSync;
  readonly #models: ModelNames;
  readonly #requests: RequestRows;
  readonly #upsert: StatementSync;
  readonly #findPosition: StatementSync;
  readonly #setPosition: StatementSync;
  #written = NOTHING_WRITTEN;

  /** Opens or makes the database, or brings it up to date. Throws CodedError `store_version` for a layout that is not known. */
  constructor(dataDir: string) {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    this.#database = openDatabase(storePath(dataDir));
    this.#models = new ModelNames(this.#database);
    this.#requests = new RequestRows(this.#database);
    this.#upsert = this.#database.prepare(
      `INSERT INTO rollup_hourly VALUES ${placeholders(ROLLUP_LABEL_COLUMNS.length + SUM_COLUMNS.length)}
       ON CONFLICT DO UPDATE SET ${SUM_COLUMNS.map((column) => `${column} = ${column} + excluded.${column}`).join(", ")}`,
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
    this.#written = NOTHING_WRITTEN;
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      if (this.position(batch.ringId) !== batch.committed) throw new Error("another process drains this ring");
      const written = this.#insertAll(batch);
      this.#setPosition.run(batch.ringId, BigInt(batch.end), BigInt(written.torn));
      this.#database.exec("COMMIT");
      this.#written = written;
      return { kind: "written" };
    } catch (error) {
      this.#rollBack();
      return { kind: "held", reason: reasonOf(error) };
    }
  }

  /** The last batch; nothing when it was held. */
  written(): Written {
    return this.#written;
  }

  close(): void {
    this.#database.close();
  }

  #insertAll({ ringId, portions }: StoreBatch): Written {
    const ring = this.#requests.ringNumber(ringId);
    const rollup = new Rollup();
    let [records, torn] = [0, 0];
    for (const portion of portions) {
      records += portion.records.length;
      torn += portion.torn;
      for (const record of this.#requests.insert(ring, portion.records)) {
        const model = this.#models.labelOf(record);
        rollup.add(record, model, upstreamLabelOf(record, model));
      }
    }
    for (const row of rollup.rows()) this.#upsert.run(...rollupColumns(row));
    return { records, torn, rollup: rollup.rows() };
  }

  #rollBack(): void {
    this.#models.forget();
    this.#requests.forget();
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
  for (const sql of stepsFrom(version)) database.exec(sql);
  database.exec("COMMIT");
  if (versionOf(database) === STORE_VERSION) return;
  database.close();
  throw new CodedError("store_version", foreign(path, version));
}

function foreign(path: string, version: number): string {
  const whose = version > STORE_VERSION ? "a newer release" : "a version before the first release";
  return `${path} was written by ${whose} of Sluice (version ${version})`;
}

/** Why this release cannot use the store that is there; null: it can, or there is none that can be read here. Changes nothing. */
export function storeRefusal(dataDir: string): string | null {
  const path = storePath(dataDir);
  const version = existingVersion(path);
  return version === null || version === STORE_VERSION || stepsFrom(version).length > 0 ? null : foreign(path, version);
}

function existingVersion(path: string): number | null {
  if (!existsSync(path)) return null;
  try {
    const database = new DatabaseSync(path, { readOnly: true, timeout: BUSY_TIMEOUT_MS });
    try {
      return versionOf(database);
    } finally {
      database.close();
    }
  } catch {
    return null;
  }
}

/** What makes a database of this version one of ours; nothing when it cannot become one. */
function stepsFrom(version: number): readonly string[] {
  if (version === 0) return [SCHEMA];
  const oldest = STORE_VERSION - MIGRATIONS.length;
  return version < oldest ? [] : MIGRATIONS.slice(version - oldest);
}

function versionOf(database: DatabaseSync): number {
  return Number(database.prepare("PRAGMA user_version").get()?.["user_version"] ?? 0);
}

/** Sums go in as BigInt: a double is exact here, but the addition in SQL must be one of integers. */
function rollupColumns(row: RollupRow): (string | bigint)[] {
  return [
    BigInt(row.hour),
    row.key,
    row.model,
    row.provider,
    row.upstreamModel,
    row.statusClass,
    row.kind,
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
