/**
 * The map of routes: what all workers know of them together. Gateway workers only. A file of slots (slots-map.ts), one for each route, and for
 * each arm of one; and one for the retries of all.
 *
 *   A slot:  0  whose it is, i64
 *            8  where the next turn begins i32         12 how long answers usually are i32         16 a budget: requests, taken i32, by the second
 *
 *   All are changed by compareExchange, and need no other word to be right. pipeline/choose.ts, pipeline/answer-size.ts and
 *   pipeline/retry-budget.ts say what they mean.
 */
import { RETRY_BUDGET_WORDS, ROUTE_WORDS } from "../base/limits.ts";
import { openSlots, prepareSlots, type SlotsForm, type SlotsMap } from "./slots-map.ts";

/** "SLRT" */
const MAGIC = 0x54524c53;
const FORM: SlotsForm = { name: "routes", magic: MAGIC, version: 1, words: ROUTE_WORDS };

const TURN = 2;
const ANSWERS = 3;
const BUDGET = 4;

/** Views of a slot. */
export interface RouteViews {
  readonly turn: Int32Array;
  readonly answers: Int32Array;
  readonly budget: Int32Array;
}

export class RoutesMap {
  readonly #slots: SlotsMap;

  constructor(slots: SlotsMap) {
    this.#slots = slots;
  }

  at(name: string): RouteViews {
    const slot = this.#slots.slotOf(name);
    return {
      turn: slot.subarray(TURN, TURN + 1),
      answers: slot.subarray(ANSWERS, ANSWERS + 1),
      budget: slot.subarray(BUDGET, BUDGET + RETRY_BUDGET_WORDS),
    };
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
