/** The targets among which a strategy decides: those of the lowest priority number of which one is left. Gateway worker; pure. */
import type { Choice } from "../config/snapshot.ts";

/** Bits of what may not be chosen: `1 << place`. */
export type Tried = number;

/** Null: all were tried. */
export function firstLeft(choices: readonly Choice[], tried: Tried): Choice | null {
  for (let place = 0; place < choices.length; place += 1) {
    const choice = choices[place];
    if (choice !== undefined && (tried & (1 << place)) === 0) return choice;
  }
  return null;
}

/** Whether it is among those that the strategy decides on, of which `first` is the first. */
export function competes(choice: Choice, first: Choice, tried: Tried): boolean {
  return choice.priority === first.priority && (tried & (1 << choice.place)) === 0;
}

/** The next one from the turn on. */
export function roundRobin(choices: readonly Choice[], first: Choice, tried: Tried, from: number): Choice {
  for (let step = 0; step < choices.length; step += 1) {
    const choice = choices[(from + step) % choices.length];
    if (choice !== undefined && competes(choice, first, tried)) return choice;
  }
  return first;
}
