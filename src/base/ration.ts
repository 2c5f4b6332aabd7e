/**
 * How often the operator is told of what happens again and again: of the first of a kind at once, and then at most once per
 * TROUBLE_INTERVAL_MS with their number. Any thread. Bounded by the kinds that its owner has.
 */
import { TROUBLE_INTERVAL_MS } from "./limits.ts";

interface Kind {
  toldMs: number;
  count: number;
}

export class Ration {
  readonly #kinds = new Map<string, Kind>();

  /** One more of a kind: how many there were since it was last told, if it is to be told now; else 0. */
  add(name: string, nowMs: number): number {
    const kind = this.#kindOf(name);
    kind.count += 1;
    if (nowMs - kind.toldMs < TROUBLE_INTERVAL_MS) return 0;
    const { count } = kind;
    kind.toldMs = nowMs;
    kind.count = 0;
    return count;
  }

  #kindOf(name: string): Kind {
    const found = this.#kinds.get(name);
    if (found !== undefined) return found;
    const kind = { toldMs: -Infinity, count: 0 };
    this.#kinds.set(name, kind);
    return kind;
  }
}
