/** What the map of breakers says of the targets that the configuration has, for /metrics. Supervisor main thread; reads only. */
import { METRIC_SERIES_MAX } from "../base/limits.ts";
import { BREAKER_AT, type BreakersMap } from "../shm/breakers.ts";

export interface TargetName {
  readonly provider: string;
  /** Upstream; "*": the client's. */
  readonly model: string;
}

export interface TargetTally extends TargetName {
  readonly open: boolean;
  readonly opens: number;
  readonly tries: number;
  readonly failures: number;
}

const STATE_MASK = 3;

export class TargetTallies {
  readonly #map: BreakersMap;
  #slots: readonly (TargetName & { readonly slot: Int32Array })[] = [];

  constructor(map: BreakersMap) {
    this.#map = map;
  }

  /** Targets that routes choose among; beyond METRIC_SERIES_MAX they are not shown. */
  configure(targets: readonly TargetName[]): void {
    const byName = new Map(targets.map((target) => [`${target.provider}\n${target.model}`, target]));
    const shown = [...byName.values()].slice(0, METRIC_SERIES_MAX);
    this.#slots = shown.map(({ provider, model }) => ({ provider, model, slot: this.#map.slotOf(provider, model) }));
  }

  tallies(): TargetTally[] {
    return this.#slots.map(({ provider, model, slot }) => {
      const count = (at: number) => Atomics.load(slot, at) >>> 0;
      const open = (Atomics.load(slot, BREAKER_AT.gate) & STATE_MASK) !== 0;
      const [opens, tries, failures] = [count(BREAKER_AT.opens), count(BREAKER_AT.tries), count(BREAKER_AT.failures)];
      return { provider, model, open, opens, tries, failures };
    });
  }
}
