/** What a worker knows of targets, by provider and model: the same over reloads. Gateway worker, when it is configured. */
import type { TargetState } from "../config/snapshot.ts";

export class TargetStates {
  readonly #states = new Map<string, TargetState>();

  /** For compileSnapshot. */
  readonly stateOf = (provider: string, model: string): TargetState => {
    const name = `${provider}\n${model}`;
    const known = this.#states.get(name);
    if (known !== undefined) return known;
    const state = { inFlight: 0 };
    this.#states.set(name, state);
    return state;
  };
}
