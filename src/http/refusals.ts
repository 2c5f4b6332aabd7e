/**
 * Connections that fronts refuse: each is counted, and the operator is told of the first of a kind at once, and then at most
 * once per TROUBLE_INTERVAL_MS with their number. Gateway worker. Bounded by listeners times reasons.
 */
import { nowMs } from "../base/clock.ts";
import { TROUBLE_INTERVAL_MS } from "../base/limits.ts";
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

interface Kind {
  toldMs: number;
  count: number;
}

export class Refusals {
  readonly #count: (index: number) => void;
  readonly #tell: (refused: Refused) => void;
  readonly #kinds = new Map<string, Kind>();

  /** `count` gets indexes of REFUSALS. */
  constructor(count: (index: number) => void, tell: (refused: Refused) => void) {
    this.#count = count;
    this.#tell = tell;
  }

  note(listener: string, reason: Refusal, detail: string, atMs = nowMs()): void {
    this.#count(REFUSALS.indexOf(reason));
    const kind = this.#kindOf(`${listener} ${reason}`);
    kind.count += 1;
    if (atMs - kind.toldMs < TROUBLE_INTERVAL_MS) return;
    this.#tell({ listener, reason, detail, count: kind.count });
    kind.toldMs = atMs;
    kind.count = 0;
  }

  #kindOf(name: string): Kind {
    const found = this.#kinds.get(name);
    if (found !== undefined) return found;
    const kind = { toldMs: -Infinity, count: 0 };
    this.#kinds.set(name, kind);
    return kind;
  }
}
