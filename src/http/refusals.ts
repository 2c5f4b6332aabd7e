/** Connections that fronts refuse: each is counted, and the operator is told of each kind within its ration. Gateway worker. */
import { nowMs } from "../base/clock.ts";
import { Ration } from "../base/ration.ts";
import { REFUSALS, type Refusal } from "../base/refusals.ts";

export interface Refused {
  /** As in the configuration. */
  readonly listener: string;
  readonly reason: Refusal;
  /** Of the last one: a code of OpenSSL, or the address of a proxy; empty: there is nothing more to say. */
  readonly detail: string;
  /** Since the last time that this was told. */
  readonly count: number;
}

export class Refusals {
  readonly #count: (index: number) => void;
  readonly #tell: (refused: Refused) => void;
  readonly #ration = new Ration();

  /** `count` gets indexes of REFUSALS. */
  constructor(count: (index: number) => void, tell: (refused: Refused) => void) {
    this.#count = count;
    this.#tell = tell;
  }

  note(listener: string, reason: Refusal, detail: string, atMs = nowMs()): void {
    this.#count(REFUSALS.indexOf(reason));
    const count = this.#ration.add(`${listener} ${reason}`, atMs);
    if (count > 0) this.#tell({ listener, reason, detail, count });
  }
}
