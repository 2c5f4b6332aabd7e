/**
 * Load shedding: which new requests are refused, so that those that are taken are answered in time. Gateway worker, main thread; pure, time
 * comes from the caller. What is measured are turns: all that was ready when one began is served in it (native/turns.cc), so what is
 * served late in a turn has waited at least since its beginning.
 *
 *   calm      one turn of each sweep is measured, and nothing is refused.
 *   alert     the last turn took more than a quarter of what one may: each is measured.
 *   shedding  they all took too long, for SHED_INTERVAL_MS: a short queue is good and one that stands is bad (CoDel, RFC 8289). What comes
 *             up when its turn has lasted a fifth of what one may is refused, until that was nothing for SHED_INTERVAL_MS. What share is
 *             refused does not depend on how long turns are, and whoever waits less holds a connection for less time: with fewer of them
 *             in use each costs less. One short turn does not end it: a crowd that pauses for a moment would have half a second to queue up
 *             in again.
 *   probing   after SHED_PROBE_MS of that: turns may take half of what one may again. Clients that ask again as soon as they are answered,
 *             refused ones too, may fill short turns for ever that could serve all of them; if one has to be refused now it was not that.
 */
import { SHED_INTERVAL_MS, SHED_PROBE_MS, SHED_REQUESTS_MIN } from "../base/limits.ts";

const MS_PER_S = 1_000;
/** Of how long a turn may take: when what comes up is refused, at first and while requests are shed; and what is a short turn. */
const LATE_SHARE = 0.5;
const SHED_LATE_SHARE = 0.2;
const SHORT_SHARE = 0.25;
/** Of the same: how long more of an answer may wait while requests are shed. */
const PATIENCE_SHARE = 0.5;

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
  /** When it is tried whether turns of the usual length have room for all. */
  #probeMs = 0;

  get sheds(): boolean {
    return this.#sheds;
  }

  /**
   * How long more of an answer that has begun may wait: so a stream has fewer and larger pieces, each of which costs what one event does. Of
   * short turns there are many, and without this streams of 50 events took a quarter more CPU where turns were short than where they were long.
   */
  get patienceMs(): number {
    return this.#sheds ? Math.round(this.delayMs * PATIENCE_SHARE) : 0;
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
    if (this.delayMs === 0 || atMs - this.#turnMs <= this.#lateMs(atMs)) return false;
    this.#sheds ||= this.#stands(atMs);
    if (this.#sheds) this.#note(atMs);
    return this.#sheds;
  }

  #lateMs(atMs: number): number {
    return this.delayMs * (this.#sheds && atMs < this.#probeMs ? SHED_LATE_SHARE : LATE_SHARE);
  }

  /** One is refused. */
  #note(atMs: number): void {
    this.#refusedMs = atMs;
    if (atMs >= this.#probeMs) this.#probeMs = atMs + SHED_PROBE_MS;
  }

  /** Few requests, in a process that has no CPU time, are no load that could be shed. */
  #stands(atMs: number): boolean {
    const forMs = atMs - (this.#sinceMs || this.#turnMs);
    return forMs >= SHED_INTERVAL_MS && this.#begun >= (SHED_REQUESTS_MIN * forMs) / MS_PER_S;
  }
}
