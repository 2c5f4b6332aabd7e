/**
 * Load shedding: which new requests are refused, so that those that are taken are answered in time. Gateway worker, main thread; pure, time
 * comes from the caller. What is measured are turns: all that was ready when one began is served in it (native/turns.cc), so what is
 * served late in a turn has waited at least since its beginning.
 *
 *   calm      one turn of each sweep is measured, and nothing is refused.
 *   alert     the last turn took more than a quarter of what one may: each is measured.
 *   shedding  they all took too long, for SHED_INTERVAL_MS: a short queue is good and one that stands is bad (CoDel, RFC 8289). What comes
 *             up when its turn has lasted half as long as one may is refused, until that was nothing for SHED_INTERVAL_MS. So each turn has
 *             as much work as it should have, and what is refused is only what is too much. One short turn does not end it: a crowd that
 *             pauses for a moment would have half a second to queue up in again.
 */
import { SHED_INTERVAL_MS, SHED_REQUESTS_MIN } from "../base/limits.ts";

const MS_PER_S = 1_000;
/** Of how long a turn may take: when what comes up is refused, and what is a short turn. */
const LATE_SHARE = 0.5;
const SHORT_SHARE = 0.25;

export class Shedder {
  /** How long a turn may take; 0: nothing is shed. */
  delayMs = 0;
  /** The turn that runs, if it is measured; 0: it is not. */
  #turnMs = 0;
  /** The first of the turns that were too long; 0: the last one was not. */
  #sinceMs = 0;
  /** Requests that began since then. */
  #begun = 0;
  #sheds = false;
  /** When one was refused last. */
  #refusedMs = 0;

  get sheds(): boolean {
    return this.#sheds;
  }

  /** A turn begins that is measured. */
  begin(atMs: number): void {
    this.#turnMs = atMs;
  }

  /** It ends. True: so is the next one, which begins. */
  end(atMs: number): boolean {
    const lastedMs = atMs - this.#turnMs;
    if (lastedMs > this.delayMs) this.#sinceMs ||= this.#turnMs;
    else this.#rest();
    if (this.delayMs === 0 || atMs - this.#refusedMs >= SHED_INTERVAL_MS) this.#sheds = false;
    const goesOn = this.#sheds || (this.delayMs > 0 && lastedMs > this.delayMs * SHORT_SHARE);
    this.#turnMs = goesOn ? atMs : 0;
    return goesOn;
  }

  #rest(): void {
    this.#sinceMs = 0;
    this.#begun = 0;
  }

  /** A request begins: whether it is refused. */
  refuses(atMs: number): boolean {
    if (this.#turnMs === 0) return false;
    this.#begun += 1;
    if (this.delayMs === 0 || atMs - this.#turnMs <= this.delayMs * LATE_SHARE) return false;
    this.#sheds ||= this.#stands(atMs);
    if (this.#sheds) this.#refusedMs = atMs;
    return this.#sheds;
  }

  /** Few requests, in a process that has no CPU time, are no load that could be shed. */
  #stands(atMs: number): boolean {
    const forMs = atMs - (this.#sinceMs || this.#turnMs);
    return forMs >= SHED_INTERVAL_MS && this.#begun >= (SHED_REQUESTS_MIN * forMs) / MS_PER_S;
  }
}
