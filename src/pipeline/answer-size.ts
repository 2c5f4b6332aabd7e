/**
 * How many output tokens answers of a route usually have, by which requests are weighed that do not say how many they take. Gateway workers, all of
 * them on one word (shm/routes.ts): sixteenths of a token; 0: nothing is known. Each answer moves it by a sixteenth of the difference; several at a
 * time, by as much as they would have with their mean, one after the other. Pure but for that; allocates nothing.
 */
import { OUTPUT_TOKENS_ASSUMED } from "../base/limits.ts";

const PARTS = 16;
/** Of what is known, what an answer leaves. */
const REMAINS = 15 / 16;
const TOKENS_MAX = (2 ** 31 - 1) / PARTS;

/** Not rounded. */
export function usualAnswer(answers: Int32Array): number {
  const known = answers[0] ?? 0;
  return known === 0 ? OUTPUT_TOKENS_ASSUMED : known / PARTS;
}

/** `count` answers came, with so many tokens on average. */
export function learnAnswers(answers: Int32Array, count: number, tokens: number): void {
  const remains = REMAINS ** count;
  for (;;) {
    const before = Atomics.load(answers, 0);
    const known = before === 0 ? OUTPUT_TOKENS_ASSUMED : before / PARTS;
    const next = wordOf(tokens + (known - tokens) * remains);
    if (Atomics.compareExchange(answers, 0, before, next) === before) return;
  }
}

/** What was known before this gateway started, where nobody knows better. */
export function recallAnswers(answers: Int32Array, tokens: number): void {
  Atomics.compareExchange(answers, 0, 0, wordOf(tokens));
}

function wordOf(tokens: number): number {
  return Math.max(1, Math.round(Math.min(tokens, TOKENS_MAX) * PARTS));
}
