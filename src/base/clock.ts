/** The two clocks. `nowMs` is monotonic, for durations and deadlines; `wallMs` is for people and records. */

/** Milliseconds with microsecond fractions since the process began; never goes back. */
export const nowMs: () => number = performance.now.bind(performance);

const { timeOrigin } = performance;

/** Wall-clock milliseconds that belong to a `nowMs` value. One addition, so that a request reads one clock. */
export function wallMs(atMs: number): number {
  return timeOrigin + atMs;
}
