/** What a worker knows of targets, by provider and model: the same over reloads. Gateway worker, when it is configured. */
import type { TargetState } from "../config/snapshot.ts";
import type { BreakersMap } from "../shm/breakers.ts";
import type { TargetsMap } from "../shm/targets.ts";

export class TargetStates {
  readonly #breakers: BreakersMap;
  readonly #targets: TargetsMap;
  readonly #states = new Map<string, TargetState>();

  constructor(breakers: BreakersMap, targets: TargetsMap) {
    this.#breakers = breakers;
    this.#targets = targets;
  }

  /** For compileSnapshot. */
  readonly stateOf = (provider: string, model: string): TargetState => {
    const name = `${provider}\n${model}`;
    const known = this.#states.get(name);
    if (known !== undefined) return known;
    const breaker = this.#breakers.slotOf(provider, model);
    const state = { inFlight: 0, breaker, learned: this.#targets.slotOf(provider, model) };
    this.#states.set(name, state);
    return state;
  };

  readonly slotOfCredential = (provider: string, credential: string): Int32Array =>
    this.#breakers.slotOfCredential(provider, credential);

  readonly slotOfHealth = (provider: string): Int32Array => this.#breakers.slotOfHealth(provider);
}
