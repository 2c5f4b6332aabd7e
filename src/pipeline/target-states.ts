/** What workers know of targets, by provider and model: the same over reloads. Gateway worker, when it is configured. */
import type { TargetState } from "../config/snapshot.ts";
import type { BreakersMap } from "../shm/breakers.ts";
import type { InFlightMap } from "../shm/in-flight.ts";
import type { TargetsMap } from "../shm/targets.ts";

export class TargetStates {
  readonly #breakers: BreakersMap;
  readonly #targets: TargetsMap;
  readonly #inFlight: InFlightMap;
  /** The column of this worker. */
  readonly #column: number;
  readonly #states = new Map<string, TargetState>();

  /** The caller holds the ring of this number, and from now on the column. */
  constructor(breakers: BreakersMap, targets: TargetsMap, inFlight: InFlightMap, column: number) {
    this.#breakers = breakers;
    this.#targets = targets;
    this.#inFlight = inFlight;
    this.#column = column;
    inFlight.take(column);
  }

  /** For compileSnapshot. */
  readonly stateOf = (provider: string, model: string): TargetState => {
    const name = `${provider}\n${model}`;
    const known = this.#states.get(name);
    if (known !== undefined) return known;
    const breaker = this.#breakers.slotOf(provider, model);
    const inFlight = this.#inFlight.at(provider, model, this.#column);
    const state = { inFlight, breaker, learned: this.#targets.slotOf(provider, model) };
    this.#states.set(name, state);
    return state;
  };

  readonly slotOfCredential = (provider: string, credential: string): Int32Array =>
    this.#breakers.slotOfCredential(provider, credential);

  readonly slotOfHealth = (provider: string): Int32Array => this.#breakers.slotOfHealth(provider);
}
