/** When a dead worker is replaced. Pure. Supervisor. */

/** A worker that served at least this long was sound, milliseconds. */
export const SOUND_AFTER_MS = 10_000;
const FIRST_DELAY_MS = 100;
const DELAY_MS_MAX = 10_000;

/** Milliseconds to wait after this many early deaths in a row: none for the first, then doubling up to a bound. */
export function delayAfter(earlyDeaths: number): number {
  return earlyDeaths <= 1 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (earlyDeaths - 2), DELAY_MS_MAX);
}
