/**
 * The strategy `latency`: of two targets, taken by chance, the one that is expected to answer first: its latency (latency.ts) times what is in
 * flight there with this request. Two and not all, so that workers do not all run to the one that was fast a moment ago
 * (Mitzenmacher, The Power of Two Choices). Gateway worker; pure but for the map.
 */
import type { Choice } from "../config/snapshot.ts";
import { TARGET_AT } from "../shm/targets.ts";
import { competes, type Tried } from "./candidates.ts";
import type { Exchange } from "./exchange.ts";
import { latencyMs } from "./latency.ts";

/** Whole answers begin when all of them is made, streams with the first token: their latencies are not compared. */
export function latencyAt({ stream }: Exchange): number {
  return stream ? TARGET_AT.stream : TARGET_AT.whole;
}

export function lowestLatency(
  exchange: Exchange,
  choices: readonly Choice[],
  first: Choice,
  tried: Tried,
  chance: number,
  now: number,
): Choice {
  const count = competitors(choices, first, tried);
  if (count === 1) return first;
  const drawn = chance * count;
  const one = Math.floor(drawn);
  // The rest of the chance says which of the others.
  const other = (one + 1 + Math.floor((drawn - one) * (count - 1))) % count;
  const a = competitor(choices, first, tried, one);
  const b = competitor(choices, first, tried, other);
  const at = latencyAt(exchange);
  return expectedMs(b, at, now) < expectedMs(a, at, now) ? b : a;
}

function expectedMs({ state }: Choice, at: number, now: number): number {
  return latencyMs(state.learned, at, now) * (state.inFlight.count + 1);
}

function competitors(choices: readonly Choice[], first: Choice, tried: Tried): number {
  let count = 0;
  for (let place = first.place; place < choices.length; place += 1) {
    const choice = choices[place];
    if (choice !== undefined && competes(choice, first, tried)) count += 1;
  }
  return count;
}

function competitor(choices: readonly Choice[], first: Choice, tried: Tried, number: number): Choice {
  let left = number;
  for (let place = first.place; place < choices.length; place += 1) {
    const choice = choices[place];
    if (choice === undefined || !competes(choice, first, tried)) continue;
    if (left === 0) return choice;
    left -= 1;
  }
  return first;
}
