/**
 * Arms: what a model's requests are shared out between, by split or by canary, as workers get them, and the names that arms have in shared
 * memory (shm/arms.ts). Every process; pure.
 */
import type { ModelConfig } from "./model.ts";
import type { Config } from "./schema.ts";
import type { RollbackRules, Sticky, Strategy } from "./snapshot.ts";

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

/** In the map of arms. Anything that is changed of a canary makes it another one. */
export function armKey(alias: string, { arms, targets }: ModelConfig, place: number): string {
  const arm = arms?.list[place];
  if (!arms || arm === undefined) return "";
  const { name, first, count } = arm;
  if (arms.rollback === null) return JSON.stringify([alias, name]);
  const canary = arms.list.at(-1);
  const own = targets.slice(canary?.first ?? first, (canary?.first ?? first) + (canary?.count ?? count));
  return JSON.stringify([alias, name, own, canary?.share, arms.sticky, arms.header, arms.rollback]);
}

/** Of every arm of a configuration. */
export function armKeys({ models }: Pick<Config, "models">): string[] {
  return Object.entries(models).flatMap(([alias, model]) =>
    (model.arms?.list ?? []).map((_, place) => armKey(alias, model, place)),
  );
}
