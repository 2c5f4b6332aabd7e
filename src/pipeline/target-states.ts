/** What workers know of targets, by provider and model, and of routes, by name: the same over reloads. Gateway worker, when it is configured. */
import type { InFlight } from "../base/in-flight.ts";
import type { RouteState, TargetState } from "../config/snapshot.ts";
import type { BreakersMap } from "../shm/breakers.ts";
import type { InFlightMap } from "../shm/in-flight.ts";
import type { RoutesMap } from "../shm/routes.ts";
import type { TargetsMap } from "../shm/targets.ts";

/** In the place of a provider and its model, of which none has such names. */
const HEDGES = ["", "hedges"] as const;

/** The maps of one data directory. */
export interface StateMaps {
  readonly breakers: BreakersMap;
  readonly targets: TargetsMap;
  readonly inFlight: InFlightMap;
  readonly routes: RoutesMap;
}

export class TargetStates {
  readonly #maps: StateMaps;
  /** Of what is in flight, this worker's. */
  readonly #column: number;
  readonly #states = new Map<string, TargetState>();

  /** The caller holds the ring of this number, and from now on the column. */
  constructor(maps: StateMaps, column: number) {
    this.#maps = maps;
    this.#column = column;
    maps.inFlight.take(column);
  }

  /** For compileSnapshot. */
  readonly stateOf = (provider: string, model: string): TargetState => {
    const name = `${provider}\n${model}`;
    const known = this.#states.get(name);
    if (known !== undefined) return known;
    const { breakers, targets, inFlight } = this.#maps;
    const state = {
      inFlight: inFlight.at(provider, model, this.#column),
      breaker: breakers.slotOf(provider, model),
      learned: targets.slotOf(provider, model),
    };
    this.#states.set(name, state);
    return state;
  };

  readonly slotOfCredential = (provider: string, credential: string): Int32Array =>
    this.#maps.breakers.slotOfCredential(provider, credential);

  readonly slotOfHealth = (provider: string): Int32Array => this.#maps.breakers.slotOfHealth(provider);

  readonly stateOfRoute = (name: string): RouteState => this.#maps.routes.at(name);

  readonly hedges = (): InFlight => this.#maps.inFlight.at(...HEDGES, this.#column);
}
