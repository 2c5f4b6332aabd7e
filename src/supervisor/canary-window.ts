/** What was counted of a canary and its stable side in the window until now. Supervisor main thread; pure but for the words that it reads. */
import { CANARY_WINDOW_STEPS } from "../base/limits.ts";
import { ARM_AT, ARM_LATENCIES } from "../shm/arms.ts";
import type { Side } from "./canary-verdict.ts";

/** The counts of both at one time. */
interface Look {
  readonly atMs: number;
  readonly stable: Int32Array;
  readonly canary: Int32Array;
}

export class CanaryWindow {
  readonly #stable: Int32Array;
  readonly #canary: Int32Array;
  readonly #windowMs: number;
  /** From the one on that the window begins with. */
  readonly #looks: Look[] = [];

  /** Words of the two arms. */
  constructor(stable: Int32Array, canary: Int32Array, windowMs: number, nowMs: number) {
    this.#stable = stable;
    this.#canary = canary;
    this.#windowMs = windowMs;
    this.begin(nowMs);
  }

  /** What was before does not count. */
  begin(nowMs: number): void {
    this.#looks.length = 0;
    this.#looks.push(this.#look(nowMs));
  }

  /** Of the last `windowMs`, give or take a step. */
  sides(nowMs: number): { readonly stable: Side; readonly canary: Side } {
    const looks = this.#looks;
    const now = this.#look(nowMs);
    while ((looks[1]?.atMs ?? Infinity) <= nowMs - this.#windowMs) looks.shift();
    if (nowMs - (looks.at(-1)?.atMs ?? 0) >= this.#windowMs / CANARY_WINDOW_STEPS) looks.push(now);
    const begin = looks[0] ?? now;
    return { stable: difference(begin.stable, now.stable), canary: difference(begin.canary, now.canary) };
  }

  #look(atMs: number): Look {
    return { atMs, stable: this.#stable.slice(), canary: this.#canary.slice() };
  }
}

/** Counts go round. */
function difference(before: Int32Array, after: Int32Array): Side {
  const grown = (at: number) => ((after[at] ?? 0) - (before[at] ?? 0)) >>> 0;
  const latencies = Uint32Array.from({ length: ARM_LATENCIES }, (_, i) => grown(ARM_AT.latencies + i));
  return { judged: grown(ARM_AT.judged), failed: grown(ARM_AT.failed), latencies };
}
