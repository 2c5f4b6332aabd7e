/**
 * Arms: what the requests of a model, or of a route of it, are shared out between, by split or by canary, as workers get them, and the names
 * that arms have in shared memory (shm/arms.ts). Every process; pure.
 */
import type { ModelConfig } from "./model.ts";
import type { Config } from "./schema.ts";
import { routeName } from "./series.ts";
import type { RollbackRules, Route, Sticky, Strategy } from "./snapshot.ts";

export interface ArmConfig {
  readonly name: string;
  readonly share: number;
  /** Its targets' places among those of the model: from `first` on, so many. */
  readonly first: number;
  readonly count: number;
  readonly strategy: Strategy;
  readonly attempts: number;
  readonly retries: boolean;
}

export interface ArmsConfig {
  readonly sticky: Sticky;
  /** Lower case; empty: none. */
  readonly header: string;
  readonly list: readonly ArmConfig[];
  /** Of a canary, which is the second arm of two; null: there is none. */
  readonly rollback: RollbackRules | null;
}

export const STABLE = "stable";
export const CANARY = "canary";

/** Whose arms they are: a model's, whose name is its alias, or those of a route of it. */
export type ArmsOwner = Pick<Route, "alias" | "name">;

/** In the map of arms. Anything that is changed of a canary makes it another one. */
export function armKey({ alias, name: route }: ArmsOwner, { arms, targets }: ModelConfig, place: number): string {
  const arm = arms?.list[place];
  if (!arms || arm === undefined) return "";
  const { name, first, count } = arm;
  const own = route === alias ? [alias, name] : [alias, route, name];
  if (arms.rollback === null) return JSON.stringify(own);
  const canary = arms.list.at(-1);
  const ends = targets.slice(canary?.first ?? first, (canary?.first ?? first) + (canary?.count ?? count));
  return JSON.stringify([...own, ends, canary?.share, arms.sticky, arms.header, arms.rollback]);
}

export interface ArmsOf extends ArmsOwner {
  readonly to: ModelConfig;
}

/** All of a configuration: each model's, and those of its routes. */
export function armsIn({ models }: Pick<Config, "models">): readonly ArmsOf[] {
  const all = Object.entries(models).flatMap(([alias, model]): ArmsOf[] => [
    { alias, name: alias, to: model },
    ...(model.routes ?? []).map(({ name, to }) => ({ alias, name: routeName(alias, name), to })),
  ]);
  return all.filter(({ to }) => to.arms);
}

/** Of every arm of a configuration. */
export function armKeys(config: Pick<Config, "models">): string[] {
  return armsIn(config).flatMap((owner) =>
    (owner.to.arms?.list ?? []).map((_, place) => armKey(owner, owner.to, place)),
  );
}
