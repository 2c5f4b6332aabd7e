/**
 * The map of targets: what their answers taught all workers together, for the strategies `latency` and `headroom`, and for hedges. Gateway
 * workers only. A file of slots (slots-map.ts), one for each target.
 *
 *   A slot:  0  whose it is, i64
 *            8  latency of whole answers: peak, seen, asked i32                  20 latency of streams: the same
 *           64  limit of requests: limit, remaining, until, base, sent i32       84 limit of tokens: the same
 *          104  left alone until i32
 *          128  waits for whole answers: noted i32, then how many were how long, i32 each           452 waits for streams: the same
 *
 *   Times are ticks of pipeline/ticks.ts, modulo 2^32; 0: none. No word needs another one to be right: each is stored whole, and a mixture of
 *   two stores, of two workers or of one that died between them, is what an answer a moment earlier or later could have said. `peak` only
 *   grows and `sent` is added to, by compareExchange and add, and so are waits; the rest is the last one's. pipeline/latency.ts,
 *   pipeline/headroom.ts and pipeline/waits.ts say what they mean.
 */
import { TARGET_WORDS, WAIT_BUCKETS } from "../base/limits.ts";
import { openSlots, prepareSlots, type SlotsForm, type SlotsMap } from "./slots-map.ts";

/** "SLTG" */
const MAGIC = 0x47544c53;
const FORM: SlotsForm = { name: "targets", magic: MAGIC, version: 2, words: TARGET_WORDS };

const WAITS = 32;

/** First words of the parts of a slot. */
export const TARGET_AT = {
  whole: 2,
  stream: 5,
  requests: 16,
  tokens: 21,
  aloneUntil: 26,
  waits: WAITS,
  streamWaits: WAITS + 1 + WAIT_BUCKETS,
} as const;

/** Words of a latency. */
export const LATENCY_AT = { peak: 0, seen: 1, asked: 2 } as const;

/** Words of a limit. */
export const HEADROOM_AT = { limit: 0, remaining: 1, until: 2, base: 3, sent: 4 } as const;

/** Words of waits. */
export const WAITS_AT = { noted: 0, buckets: 1 } as const;

export class TargetsMap {
  readonly #slots: SlotsMap;

  constructor(slots: SlotsMap) {
    this.#slots = slots;
  }

  slotOf(provider: string, model: string): Int32Array {
    return this.#slots.slotOf(`${provider}\n${model}`);
  }
}

/** Supervisor, at start; `goesOn` as in prepareSlots(). */
export function prepareTargets(dataDir: string, goesOn: boolean): void {
  prepareSlots(dataDir, FORM, goesOn);
}

/** Gateway worker. Throws CodedError `targets_invalid`. */
export function openTargets(dataDir: string): TargetsMap {
  return new TargetsMap(openSlots(dataDir, FORM, "targets_invalid"));
}
