/**
 * The map of routes: what all workers know of them together. Gateway workers only. A file of slots (slots-map.ts), one for each route, and for
 * each arm of one.
 *
 *   A slot:  0  whose it is, i64
 *            8  where the next turn begins i32         12 how long answers usually are i32
 *
 *   Both are changed by compareExchange, and need no other word to be right. pipeline/choose.ts and pipeline/answer-size.ts say what they mean.
 */
import { ROUTE_WORDS } from "../base/limits.ts";
import { openSlots, prepareSlots, type SlotsForm, type SlotsMap } from "./slots-map.ts";

/** "SLRT" */
const MAGIC = 0x54524c53;
const FORM: SlotsForm = { name: "routes", magic: MAGIC, version: 1, words: ROUTE_WORDS };

const TURN = 2;
const ANSWERS = 3;

export class RoutesMap {
  readonly #slots: SlotsMap;

  constructor(slots: SlotsMap) {
    this.#slots = slots;
  }

  /** Views of one word each. */
  at(name: string): { readonly turn: Int32Array; readonly answers: Int32Array } {
    const slot = this.#slots.slotOf(name);
    return { turn: slot.subarray(TURN, TURN + 1), answers: slot.subarray(ANSWERS, ANSWERS + 1) };
  }
}

/** Supervisor, at start; `goesOn` as in prepareSlots(). */
export function prepareRoutes(dataDir: string, goesOn: boolean): RoutesMap {
  return new RoutesMap(prepareSlots(dataDir, FORM, goesOn));
}

/** Gateway worker. Throws CodedError `routes_invalid`. */
export function openRoutes(dataDir: string): RoutesMap {
  return new RoutesMap(openSlots(dataDir, FORM, "routes_invalid"));
}
