/** Waiting for a state with a deadline: what tests do instead of sleeping. */
import { setTimeout as delay } from "node:timers/promises";

const POLL_MS = 10;
export const DEADLINE_MS = 20_000;

/** The first value of `probe` that is not undefined, null or false; fails with `what` and the last error at the deadline. */
export async function until<T>(
  what: string,
  probe: () => T | Promise<T>,
  deadlineMs = DEADLINE_MS,
): Promise<Exclude<T, undefined | null | false>> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const value = await probe();
    if (isThere(value)) return value;
    if (performance.now() > end) throw new Error(`waited ${deadlineMs} ms in vain until ${what}`);
    await delay(POLL_MS);
  }
}

function isThere<T>(value: T): value is Exclude<T, undefined | null | false> {
  return value !== undefined && value !== null && value !== false;
}

/** `promise`, or a failure with `what` at the deadline. */
export async function within<T>(what: string, promise: Promise<T>, deadlineMs = DEADLINE_MS): Promise<T> {
  const stop = new AbortController();
  const late = delay(deadlineMs, undefined, { signal: stop.signal }).then(
    () => Promise.reject(new Error(`waited ${deadlineMs} ms in vain for ${what}`)),
    () => promise,
  );
  return Promise.race([promise, late]).finally(() => stop.abort());
}
