/** Feeds an answer to the response scan in pieces, and keeps the books a gateway keeps: borders and the range to strip. */
import { borders, closeScan, feedScan, openScan, readUsage, usage } from "../../src/providers/response-scan.ts";
import type { Random } from "./random.ts";
import type { Totals } from "./response-oracle.ts";

export interface Outcome {
  readonly flags: number;
  readonly totals: Totals;
  readonly estimatedOutputTokens: number;
  /** After the last event that ended, from the start of the answer. */
  readonly boundary: number;
  /** Of the event that only carries usage; null: there is none. */
  readonly strip: { readonly start: number; readonly end: number } | null;
}

/** Feeds `answer` cut at `cuts` (ascending offsets). */
export function runScan(events: boolean, answer: Uint8Array, cuts: readonly number[]): Outcome {
  const slot = openScan(events);
  try {
    return feedPieces(slot, answer, cuts);
  } finally {
    closeScan(slot);
  }
}

/** Cuts at random places: few or many, several at one place at times. */
export function randomCuts(random: Random, length: number): number[] {
  const bound = random.pick([3, 10, length + 1]);
  return random.several(bound, () => random.below(length + 1)).sort((a, b) => a - b);
}

/** Cuts around every byte. */
export function everyByte(length: number): number[] {
  return Array.from({ length }, (_, at) => at);
}

function feedPieces(slot: number, answer: Uint8Array, cuts: readonly number[]): Outcome {
  let flags = 0;
  let boundary = 0;
  let strip: Outcome["strip"] = null;
  let from = 0;
  for (const to of [...cuts, answer.length]) {
    // A copy with nothing of the answer behind it.
    flags = feedScan(slot, Uint8Array.from(answer.subarray(from, to)));
    if (borders.stripEnd >= 0) {
      const start = borders.stripStart < 0 ? boundary : from + borders.stripStart;
      // The LF of a CRLF may come in a later piece than the rest.
      strip = { start: strip !== null && strip.end === start ? strip.start : start, end: from + borders.stripEnd };
    }
    if (borders.boundary >= 0) boundary = from + borders.boundary;
    from = to;
  }
  readUsage(slot);
  const { inputTokens, outputTokens, cachedTokens, reasoningTokens, estimatedOutputTokens } = usage;
  const totals = { inputTokens, outputTokens, cachedTokens, reasoningTokens };
  return { flags, totals, estimatedOutputTokens, boundary, strip };
}
