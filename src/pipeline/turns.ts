/** Turns of the loop of a gateway worker: which of them are measured for the shedder, and what follows from what it says. Main thread. */
import { nowMs } from "../base/clock.ts";
import { SHED_TOLD_MS } from "../base/limits.ts";
import { Shedder } from "./shedder.ts";

/** What it needs of the loop. */
export interface Loop {
  /** Calls back whenever all that was ready in the loop has been served, until that returns false. */
  readonly eachTurn: (callback: () => boolean) => void;
  /** How long, after some of an answer came from upstream, more of it may wait. */
  readonly setPatience: (ms: number) => void;
}

export class Turns {
  readonly #loop: Loop;
  readonly #shedder = new Shedder();
  /** One is being measured. */
  #measures = false;
  /** As it was set. */
  #patienceMs = 0;
  /** When a request was last shed. */
  #shedMs = -Infinity;

  constructor(loop: Loop) {
    this.#loop = loop;
  }

  /** Measures the one that runs, and those behind it while they are long. */
  measure(delayMs: number): void {
    this.#shedder.delayMs = delayMs;
    if (this.#measures) return;
    this.#measures = true;
    this.#shedder.begin(nowMs());
    this.#loop.eachTurn(this.#onTurn);
  }

  readonly #onTurn = (): boolean => {
    this.#measures = this.#shedder.end(nowMs());
    const { patienceMs } = this.#shedder;
    if (patienceMs !== this.#patienceMs) this.#loop.setPatience(patienceMs);
    this.#patienceMs = patienceMs;
    return this.#measures;
  };

  /** A request begins: whether it is refused. */
  refuses(startedMs: number): boolean {
    const isRefused = this.#shedder.refuses(startedMs);
    if (isRefused) this.#shedMs = startedMs;
    return isRefused;
  }

  /** For the operator. */
  hasShed(atMs: number): boolean {
    return atMs - this.#shedMs < SHED_TOLD_MS;
  }
}
