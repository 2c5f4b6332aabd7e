/**
 * The clocks. `nowMs` is monotonic, for durations and deadlines; `wallMs` is for people and records; `machineMs` is for what processes
 * tell each other.
 */

/** Milliseconds with microsecond fractions since the process began; never goes back. */
export const nowMs: () => number = performance.now.bind(performance);

const { timeOrigin } = performance;

/** Wall-clock milliseconds that belong to a `nowMs` value. One addition, so that a request reads one clock. */
export function wallMs(atMs: number): number {
  return timeOrigin + atMs;
}

const [seconds, nanoseconds] = process.hrtime();
const machineOffsetMs = seconds * 1_000 + nanoseconds / 1_000_000 - nowMs() - timeOrigin;

/** Milliseconds that belong to a `wallMs` value: the same in all processes since the machine was booted, whatever becomes of its wall clock. */
export function machineMs(wallMs: number): number {
  return machineOffsetMs + wallMs;
}
