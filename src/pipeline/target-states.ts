/** What a worker knows of targets, by provider and model: the same over reloads. Gateway worker, when it is configured. */
import type { TargetState } from "../config/snapshot.ts";
import type { BreakersMap } from "../shm/breakers.ts";

export class TargetStates {
  readonly #breakers: BreakersMap;
  readonly #states = new Map<string, TargetState>();

  constructor(breakers: BreakersMap) {
    this.#breakers = breakers;
  }

  /** For compileSnapshot. */
  readonly stateOf = (provider: string, model: string): TargetState => {
    const name = `${provider}\n${model}`;
    const known = this.#states.get(name);
    if (known !== undefined) return known;
    const state = { inFlight: 0, breaker: this.#breakers.slotOf(provider, model) };
    this.#states.set(name, state);
    return state;
  };

  readonly slotOfCredential = (provider: string, credential: string): Int32Array =>
    this.#breakers.slotOfCredential(provider, credential);

  readonly slotOfHealth = (provider: string): Int32Array => this.#breakers.slotOfHealth(provider);
}
