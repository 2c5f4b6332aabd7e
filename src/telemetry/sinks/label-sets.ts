/**
 * What a request has in common with others, as one number: a row of `label_sets`. Binding and storing these sixteen columns
 * with each request took two thirds of an insert. Owned by the store, used inside its transaction; pool threads share
 * the table, and each knows the sets that it met lately. Where a key may use any model and its
 * holder invents names, every request makes a set: then a record costs about 15 us instead of 2.
 */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import { errorByNumber } from "../../base/errors.ts";
import { LABEL_SETS_MAX } from "../../base/limits.ts";
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
import { TupleMap } from "../tuple-map.ts";
import { LABEL_COLUMNS, placeholders } from "./store-schema.ts";

export class LabelSets {
  #ids = new TupleMap<number>();
  #known = 0;
  readonly #find: StatementSync;
  readonly #insert: StatementSync;

  constructor(database: DatabaseSync) {
    const isSame = LABEL_COLUMNS.map((column) => `${column} = ?`).join(" AND ");
    const columns = LABEL_COLUMNS.join(", ");
    this.#find = database.prepare(`SELECT id FROM label_sets WHERE ${isSame}`);
    this.#insert = database.prepare(`INSERT INTO label_sets (${columns}) VALUES ${placeholders(LABEL_COLUMNS.length)}`);
  }

  /** The number of the record's set. */
  idOf(record: DecodedRecord): number {
    const entry = this.#entryOf(record);
    if (entry.value !== undefined) return entry.value;
    const id = this.#findOrMake(labelColumns(record));
    if (this.#known >= LABEL_SETS_MAX) this.forget();
    else entry.value = id;
    this.#known += 1;
    return id;
  }

  /** The transaction was rolled back: sets that it made are not in the table. */
  forget(): void {
    this.#ids = new TupleMap();
    this.#known = 0;
  }

  #entryOf(record: DecodedRecord): TupleMap<number> {
    return this.#ids
      .at(record.key)
      .at(record.model)
      .at(record.upstreamModel)
      .at(record.provider)
      .at(record.status)
      .at(record.upstreamStatus)
      .at(record.error)
      .at(record.flags | (record.kind << 16))
      .at(fourBytes(record.method, record.endpoint, record.attempts, record.usageSource));
  }

  #findOrMake(columns: (string | number)[]): number {
    const found = this.#find.get(...columns);
    return Number(found?.["id"] ?? this.#insert.run(...columns).lastInsertRowid);
  }
}

function fourBytes(a: number, b: number, c: number, d: number): number {
  return (a << 24) | (b << 16) | (c << 8) | d;
}

/** In the order of LABEL_COLUMNS. */
function labelColumns(record: DecodedRecord): (string | number)[] {
  return [
    record.key,
    record.model,
    record.upstreamModel,
    record.provider,
    METHODS[record.method] ?? METHODS[0],
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
    KINDS[record.kind] ?? KINDS[0],
  ];
}

function errorName(number: number): string {
  return number === 0 ? "" : (errorByNumber(number)?.code ?? `error_${number}`);
}

function flag(record: DecodedRecord, bit: number): number {
  return (record.flags & bit) === 0 ? 0 : 1;
}
