/**
 * One row per request. Owned by the store, used inside its transaction. Rows are inserted many at a time, because a call
 * into SQLite costs as much as binding ten columns does.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { DecodedRecord } from "../../shm/record-codec.ts";
import { LabelSets } from "./label-sets.ts";
import { placeholders } from "./store-schema.ts";

const COLUMNS = 20;
/** Rows per statement; 16 to 64 take the same time. */
const ROWS = 32;

export class RequestRows {
  readonly #labelSets: LabelSets;
  readonly #findRing: StatementSync;
  readonly #insertRing: StatementSync;
  readonly #findKnown: StatementSync;
  readonly #insertOne: StatementSync;
  readonly #insertMany: StatementSync;
  readonly #one: (string | number)[] = Array(COLUMNS).fill(0);
  readonly #many: (string | number)[] = Array(ROWS * COLUMNS).fill(0);

  constructor(database: DatabaseSync) {
    this.#labelSets = new LabelSets(database);
    this.#findRing = database.prepare("SELECT id FROM rings WHERE ring_id = ?");
    this.#insertRing = database.prepare("INSERT INTO rings (ring_id) VALUES (?)");
    this.#findKnown = database.prepare("SELECT seq FROM request_rows WHERE ring = ? AND seq BETWEEN ? AND ?");
    this.#insertOne = database.prepare(`INSERT INTO request_rows VALUES ${placeholders(COLUMNS)}`);
    this.#insertMany = database.prepare(`INSERT INTO request_rows VALUES ${placeholders(COLUMNS, ROWS)}`);
  }

  /** The ring's number in the table. */
  ringNumber(ringId: string): number {
    return Number(this.#findRing.get(ringId)?.["id"] ?? this.#insertRing.run(ringId).lastInsertRowid);
  }

  /** Inserts records in the order of their `seq`; returns those that were not there yet. */
  insert(ring: number, records: readonly DecodedRecord[]): readonly DecodedRecord[] {
    const added = this.#withoutKnown(ring, records);
    const single = added.length - (added.length % ROWS);
    for (let begin = 0; begin < single; begin += ROWS) {
      for (let i = 0; i < ROWS; i += 1) this.#fill(this.#many, i * COLUMNS, ring, added[begin + i]);
      this.#insertMany.run(...this.#many);
    }
    for (let i = single; i < added.length; i += 1) {
      this.#fill(this.#one, 0, ring, added[i]);
      this.#insertOne.run(...this.#one);
    }
    return added;
  }

  /** The transaction was rolled back. */
  forget(): void {
    this.#labelSets.forget();
  }

  /** A row that exists was summed when it was inserted. It takes a database restored from a backup to find one. */
  #withoutKnown(ring: number, records: readonly DecodedRecord[]): readonly DecodedRecord[] {
    const rows = this.#findKnown.all(ring, records[0]?.seq ?? 0, records.at(-1)?.seq ?? 0);
    if (rows.length === 0) return records;
    const known = new Set(rows.map((row) => row["seq"]));
    return records.filter((record) => !known.has(record.seq));
  }

  /** The record's columns into `values`, from `at` on, in the order of the table. Numbers are whole. */
  #fill(values: (string | number)[], at: number, ring: number, record: DecodedRecord | undefined): void {
    if (record === undefined) return;
    values[at] = ring;
    values[at + 1] = record.seq;
    values[at + 2] = this.#labelSets.idOf(record);
    values[at + 3] = record.startedAtMs;
    values[at + 4] = record.requestId;
    values[at + 5] = record.path;
    values[at + 6] = record.address;
    values[at + 7] = record.inputTokens;
    values[at + 8] = record.cachedTokens;
    values[at + 9] = record.outputTokens;
    values[at + 10] = record.reasoningTokens;
    values[at + 11] = record.costNanodollars;
    values[at + 12] = record.requestBytes;
    values[at + 13] = record.responseBytes;
    values[at + 14] = record.totalUs;
    values[at + 15] = record.firstByteUs;
    values[at + 16] = record.ttftUs;
    values[at + 17] = record.gatewayUs;
    values[at + 18] = record.decision;
    values[at + 19] = record.credential;
  }
}
