/**
 * The timer wheel of everything in flight: an exchange stands in the slot of the moment at which its deadlines are looked at
 * next, and nothing is done for it before. Gateway worker, main thread; turned by the worker's one timer. Time comes from the
 * caller.
 *
 * Re-arming is lazy: a request that moves on stays where it is, and is put on again when its slot comes up (deadlines.ts says
 * for when). Adding and removing are O(1), and most requests cost one of each and are never looked at. Holds always: an item is
 * in the slot, and at the place in it, that it says.
 */
import { SWEEP_INTERVAL_MS } from "../base/limits.ts";

/** Ticks of one round. What is due later than that is looked at sooner, and put on again. */
const SLOTS = 128;
const NOWHERE = -1;

/** What stands in a wheel. Both numbers are the wheel's; -1 to begin with. */
export interface Spoke {
  slot: number;
  place: number;
}

export class Wheel<T extends Spoke> {
  readonly #slots: T[][] = Array.from({ length: SLOTS }, () => []);
  /** Of the slot that the next turn begins with. */
  #tick: number;
  #size = 0;

  constructor(nowMs: number) {
    this.#tick = tickOf(nowMs);
  }

  get size(): number {
    return this.#size;
  }

  add(item: T, dueMs: number): void {
    this.#size += 1;
    this.#put(item, dueMs);
  }

  /** False: it is not in the wheel. */
  remove(item: T): boolean {
    if (item.slot === NOWHERE) return false;
    this.#size -= 1;
    this.#take(item);
    return true;
  }

  /** Hands out what is due at `nowMs`. `look` ends it, which removes it, or says when it is due next; it may remove others. */
  turn(nowMs: number, look: (item: T) => number): void {
    const first = this.#tick;
    const last = Math.min(tickOf(nowMs), first + SLOTS - 1);
    this.#tick = Math.max(first, tickOf(nowMs) + 1);
    for (let tick = first; tick <= last; tick += 1) this.#visit(this.#slots[tick % SLOTS] ?? [], look);
  }

  /** All that is in it at the moment of the call. */
  items(): T[] {
    return this.#slots.flat();
  }

  /** From the end on: what is put on again comes behind, also when a late turn puts it into this slot. */
  #visit(slot: T[], look: (item: T) => number): void {
    for (let place = slot.length - 1; place >= 0; place -= 1) {
      const item = slot[place];
      // Others than the one looked at may have left.
      if (item === undefined) continue;
      const dueMs = look(item);
      if (slot[place] !== item) continue;
      this.#take(item);
      this.#put(item, dueMs);
    }
  }

  #put(item: T, dueMs: number): void {
    const tick = Math.min(Math.max(tickOf(dueMs), this.#tick), this.#tick + SLOTS - 1);
    item.slot = tick % SLOTS;
    item.place = (this.#slots[item.slot] ?? []).push(item) - 1;
  }

  /** The slot's last one takes its place. */
  #take(item: T): void {
    const slot = this.#slots[item.slot] ?? [];
    const last = slot.pop();
    if (last !== undefined && last !== item) {
      slot[item.place] = last;
      last.place = item.place;
    }
    item.slot = NOWHERE;
  }
}

function tickOf(ms: number): number {
  return Math.floor(ms / SWEEP_INTERVAL_MS);
}
