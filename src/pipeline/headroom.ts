/**
 * What a provider's limits leave of a target: what its last answer said, less what was sent after the request of that answer. Gateway workers,
 * all of them on shm/targets.ts. Pure but for that; allocates nothing.
 *
 * `sent` counts what was ever sent, modulo 2^32, and each request knows where it stood behind it: its mark. The `remaining` of its answer
 * knows of it and of what came before it, so what is left is that less `sent - base`, `base` being the mark. Nothing has to be given
 * back: requests that were never answered, and workers that died, are behind the next answer's mark.
 *
 * When the limit's time comes it is full again, until an answer says something else.
 */
import { HEADROOM_RESET_MS_DEFAULT, HEADROOM_RESET_MS_MAX } from "../base/limits.ts";
import { HEADROOM_AT, TARGET_AT } from "../shm/targets.ts";
import { TICK_MS, tickAfter, ticksBetween } from "./machine-ticks.ts";
import type { LimitReport } from "./rate-headers.ts";

/** Instead of a share: the provider has said nothing of it. */
export const UNTOLD = -1;
const RESET_TICKS_MAX = Math.ceil(HEADROOM_RESET_MS_MAX / TICK_MS);

/** Something is sent. Gives its mark. `at`: of TARGET_AT. */
export function spend(slot: Int32Array, at: number, amount: number): number {
  return (Atomics.add(slot, at + HEADROOM_AT.sent, amount) + amount) | 0;
}

/** What an answer says; `mark`: of its request. */
export function report(slot: Int32Array, at: number, said: LimitReport, mark: number, now: number): void {
  if (said.remaining < 0) return;
  // Of a request that was sent before the one whose answer was last.
  if (((mark - Atomics.load(slot, at + HEADROOM_AT.base)) | 0) < 0) return;
  const resetMs = said.resetMs < 0 ? HEADROOM_RESET_MS_DEFAULT : Math.min(said.resetMs, HEADROOM_RESET_MS_MAX);
  const limit = said.limit > 0 ? said.limit : Math.max(1, said.remaining, Atomics.load(slot, at + HEADROOM_AT.limit));
  Atomics.store(slot, at + HEADROOM_AT.remaining, Math.min(said.remaining, limit));
  Atomics.store(slot, at + HEADROOM_AT.base, mark);
  Atomics.store(slot, at + HEADROOM_AT.until, tickAfter(now, resetMs));
  Atomics.store(slot, at + HEADROOM_AT.limit, limit);
}

/** The provider asks to be left alone. */
export function leaveAlone(slot: Int32Array, waitMs: number, now: number): void {
  Atomics.store(slot, TARGET_AT.aloneUntil, tickAfter(now, Math.min(waitMs, HEADROOM_RESET_MS_MAX)));
}

/**
 * The share of its limits that a target has left, the smaller of requests and tokens: above 0 and at most 1; 0: less than one request with
 * `tokens` takes, until a reset; UNTOLD.
 */
export function headroom(slot: Int32Array, tokens: number, now: number): number {
  const alone = wordAt(slot, TARGET_AT.aloneUntil);
  if (alone !== 0 && !isOver(alone, now)) return 0;
  const ofRequests = share(slot, TARGET_AT.requests, 1, now);
  const ofTokens = share(slot, TARGET_AT.tokens, tokens, now);
  if (ofRequests === UNTOLD || ofTokens === UNTOLD) return Math.max(ofRequests, ofTokens);
  return Math.min(ofRequests, ofTokens);
}

function share(slot: Int32Array, at: number, need: number, now: number): number {
  const limit = wordAt(slot, at + HEADROOM_AT.limit);
  if (limit <= 0) return UNTOLD;
  const until = wordAt(slot, at + HEADROOM_AT.until);
  if (isOver(until, now)) refill(slot, at, limit, until, now);
  const sent = (wordAt(slot, at + HEADROOM_AT.sent) - wordAt(slot, at + HEADROOM_AT.base)) | 0;
  const left = wordAt(slot, at + HEADROOM_AT.remaining) - Math.max(0, sent);
  return left < need || left <= 0 ? 0 : Math.min(1, left / limit);
}

/** By one worker; the others see it a moment later. */
function refill(slot: Int32Array, at: number, limit: number, until: number, now: number): void {
  const next = tickAfter(now, HEADROOM_RESET_MS_DEFAULT);
  if (Atomics.compareExchange(slot, at + HEADROOM_AT.until, until, next) !== until) return;
  Atomics.store(slot, at + HEADROOM_AT.remaining, limit);
  Atomics.store(slot, at + HEADROOM_AT.base, Atomics.load(slot, at + HEADROOM_AT.sent));
}

/** One that is further away than any may be is of no time that we know, and over. */
function isOver(tick: number, now: number): boolean {
  const ticks = ticksBetween(now, tick);
  return ticks <= 0 || ticks > RESET_TICKS_MAX;
}

/** Without Atomics, which cost 8 ns: words are whole all the same, and one of a moment ago is as good. */
function wordAt(slot: Int32Array, at: number): number {
  return slot[at] ?? 0;
}
