/**
 * Which target of a route is next. Gateway worker; pure but for the turn, allocates nothing. Among the targets of the lowest priority
 * number that were not tried, the strategy decides; those of a higher number come when none of them is left. Chance comes
 * from the caller.
 */
import type { Choice, Strategy } from "../config/snapshot.ts";

/** Bits of what may not be chosen: `1 << place`. */
export type Tried = number;

/** Null: all were tried. `chance`: at least 0 and below 1. */
export function nextChoice(
  choices: readonly Choice[],
  strategy: Strategy,
  turn: { next: number },
  tried: Tried,
  chance: number,
): Choice | null {
  const first = firstLeft(choices, tried);
  if (first === null || strategy === "priority") return first;
  if (strategy === "weighted") return byWeight(choices, first, tried, chance);
  const next = roundRobin(choices, first, tried, turn.next);
  const choice = strategy === "round_robin" ? next : leastInFlight(choices, next, tried);
  turn.next = choice.place + 1;
  return choice;
}

function firstLeft(choices: readonly Choice[], tried: Tried): Choice | null {
  for (let place = 0; place < choices.length; place += 1) {
    const choice = choices[place];
    if (choice !== undefined && (tried & (1 << place)) === 0) return choice;
  }
  return null;
}

/** Whether it is among those that the strategy decides on, of which `first` is the first. */
function competes(choice: Choice, first: Choice, tried: Tried): boolean {
  return choice.priority === first.priority && (tried & (1 << choice.place)) === 0;
}

function byWeight(choices: readonly Choice[], first: Choice, tried: Tried, chance: number): Choice {
  let left = chance * weightOf(choices, first, tried);
  let last = first;
  for (let place = first.place; place < choices.length; place += 1) {
    const choice = choices[place];
    if (choice === undefined || !competes(choice, first, tried)) continue;
    last = choice;
    left -= choice.weight;
    if (left < 0) return choice;
  }
  return last;
}

function weightOf(choices: readonly Choice[], first: Choice, tried: Tried): number {
  let sum = 0;
  for (let place = first.place; place < choices.length; place += 1) {
    const choice = choices[place];
    if (choice !== undefined && competes(choice, first, tried)) sum += choice.weight;
  }
  return sum;
}

/** The next one from the turn on. */
function roundRobin(choices: readonly Choice[], first: Choice, tried: Tried, from: number): Choice {
  for (let step = 0; step < choices.length; step += 1) {
    const choice = choices[(from + step) % choices.length];
    if (choice !== undefined && competes(choice, first, tried)) return choice;
  }
  return first;
}

/** For its weight; among equal ones the next one of the turn, so that few requests are spread as well. */
function leastInFlight(choices: readonly Choice[], next: Choice, tried: Tried): Choice {
  let best = next;
  for (let step = 1; step < choices.length; step += 1) {
    const choice = choices[(next.place + step) % choices.length];
    if (choice === undefined || !competes(choice, next, tried)) continue;
    if (choice.state.inFlight * best.weight < best.state.inFlight * choice.weight) best = choice;
  }
  return best;
}
