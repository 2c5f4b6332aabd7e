/**
 * The map of what is in flight: attempts at each target that routes choose among, by worker. Gateway workers write, each its own column; the
 * supervisor empties those of dead ones. A file of slots (slots-map.ts), one for each target.
 *
 *   Header:  0  how many columns were ever used, i32; it only grows
 *   A slot:  0  whose it is, i64                                8 a column for each ring, i32
 *
 *   A column is written by who holds the ring of its number: a worker, one at a time of all generations, which begins with an empty one; or,
 *   while nobody does, the supervisor, which was told that a worker died. It takes the ring for that, so that no new worker can have it: where
 *   one has it already, the column was emptied by that.
 */
import { InFlight } from "../base/in-flight.ts";
import { IN_FLIGHT_WORDS } from "../base/limits.ts";
import { whileFree } from "./ring-file.ts";
import { openSlots, prepareSlots, type SlotsForm, type SlotsMap } from "./slots-map.ts";

/** "SLIF" */
const MAGIC = 0x46494c53;
const FORM: SlotsForm = { name: "in-flight", magic: MAGIC, version: 1, words: IN_FLIGHT_WORDS };

/** Of the header. */
const USED = 0;
/** Of a slot: the first one. */
const COLUMNS = 2;

export class InFlightMap {
  readonly #slots: SlotsMap;
  readonly #dataDir: string;

  constructor(slots: SlotsMap, dataDir: string) {
    this.#slots = slots;
    this.#dataDir = dataDir;
  }

  /** What is in flight at a target; `column`: where this process writes it. */
  at(provider: string, model: string, column: number): InFlight {
    const slot = this.#slots.slotOf(`${provider}\n${model}`);
    return new InFlight(slot.subarray(COLUMNS), this.#slots.header.subarray(USED, USED + 1), column);
  }

  /** The caller holds the ring of this number, and begins with nothing in flight. */
  take(column: number): void {
    this.#empty(column);
    raise(this.#slots.header, USED, column + 1);
  }

  /** The worker that had this column is dead. */
  release(column: number): void {
    whileFree(this.#dataDir, column, () => this.#empty(column));
  }

  #empty(column: number): void {
    for (const slot of this.#slots.named()) Atomics.store(slot, COLUMNS + column, 0);
  }
}

function raise(words: Int32Array, at: number, least: number): void {
  for (;;) {
    const before = Atomics.load(words, at);
    if (before >= least || Atomics.compareExchange(words, at, before, least) === before) return;
  }
}

/** Supervisor, at start; `goesOn` as in prepareSlots(). */
export function prepareInFlight(dataDir: string, goesOn: boolean): InFlightMap {
  return new InFlightMap(prepareSlots(dataDir, FORM, goesOn), dataDir);
}

/** Gateway worker. Throws CodedError `in_flight_invalid`. */
export function openInFlight(dataDir: string): InFlightMap {
  return new InFlightMap(openSlots(dataDir, FORM, "in_flight_invalid"), dataDir);
}
