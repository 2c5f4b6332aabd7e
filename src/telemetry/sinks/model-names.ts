/**
 * Which model names get rollups and metrics of their own. With a route for any model a client can invent names without
 * end, so a name has to earn its label: the first request for it that was not answered 4xx, or that used tokens, makes it
 * known, for good, up to MODELS_MAX names. Everything else is counted under "other"; the detail rows keep what the client
 * wrote. Owned by the store, used inside its transaction; pool threads share the table.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { MODELS_MAX } from "../../base/limits.ts";
import type { DecodedRecord } from "../../shm/record-codec.ts";
import { USAGE_NONE } from "../record.ts";

export const OTHER_MODEL = "other";

export class ModelNames {
  /** Names that are in the table, so that most records ask the database nothing. */
  readonly #known = new Set<string>();
  readonly #find: StatementSync;
  readonly #insert: StatementSync;
  readonly #count: StatementSync;
  #full = false;

  constructor(database: DatabaseSync) {
    this.#find = database.prepare("SELECT 1 FROM models WHERE name = ?");
    this.#insert = database.prepare("INSERT INTO models (name) VALUES (?)");
    this.#count = database.prepare("SELECT count(*) AS names FROM models");
  }

  /** The label of the record's model. Records without a model have the empty label. */
  labelOf(record: DecodedRecord): string {
    const name = record.model;
    if (name === "" || this.#isKnown(name)) return name;
    return isProven(record) && this.#learn(name) ? name : OTHER_MODEL;
  }

  /** The transaction was rolled back: what it taught is not in the table. */
  forget(): void {
    this.#known.clear();
    this.#full = false;
  }

  #isKnown(name: string): boolean {
    if (this.#known.has(name)) return true;
    if (this.#find.get(name) === undefined) return false;
    this.#known.add(name);
    return true;
  }

  #learn(name: string): boolean {
    this.#full ||= Number(this.#count.get()?.["names"] ?? 0) >= MODELS_MAX;
    if (this.#full) return false;
    this.#insert.run(name);
    this.#known.add(name);
    return true;
  }
}

/**
 * The label of the name that went to the provider: where the client's own went there, what became of that; else it is
 * the configuration's, and there are no more of those than it has.
 */
export function upstreamLabelOf(record: DecodedRecord, modelLabel: string): string {
  return record.upstreamModel === record.model ? modelLabel : record.upstreamModel;
}

function isProven(record: DecodedRecord): boolean {
  return record.usageSource !== USAGE_NONE || record.status < 400 || record.status > 499;
}
