/** Arms of a model, or of a route of it, to routes, among which requests are shared out. Every gateway worker, at start and reload. */
import { assert } from "../base/assert.ts";
import { textHash } from "../base/hash.ts";
import { named } from "../base/named.ts";
import { type ArmConfig, type ArmsConfig, type ArmsOwner, armKey } from "./arm.ts";
import type { ModelConfig } from "./model.ts";
import type { Arms, Route } from "./snapshot.ts";

/** The words of an arm in shared memory (shm/arms.ts), by its key. */
export type ArmWords = (key: string) => Int32Array;

/** Null: it has none. `routeOf`: its route with some of its targets, and a state of this name. */
export function compileArms(
  owner: ArmsOwner,
  model: ModelConfig,
  routeOf: (part: ModelConfig, stateName: string) => Route,
  wordsOf: ArmWords,
): Arms | null {
  const { arms } = model;
  if (!arms) return null;
  const routes = arms.list.map((arm, place) => {
    const canary = arms.rollback !== null && place > 0;
    const targets = canary ? canaryTargets(arms, arm, model) : ownTargets(arm, model);
    const { strategy, attempts, retries } = arm;
    const part = { ...model, arms: null, targets, strategy, attempts, retries };
    const route = routeOf(part, `${owner.name}\n${arm.name}`);
    const words = wordsOf(armKey(owner, model, place));
    const decision = `arm=${named(arm.name)}`;
    const own = { name: arm.name, decision, share: arm.share, seed: textHash(`${owner.name}\n${arm.name}`), words };
    const once = canary ? (1 << arm.count) - 1 : 0;
    return Object.freeze({ ...route, once, arm: Object.freeze({ ...own, canary, judged: arms.rollback !== null }) });
  });
  return Object.freeze({ sticky: arms.sticky, header: `\r\n${arms.header}: `, routes: Object.freeze(routes) });
}

function ownTargets({ first, count }: ArmConfig, { targets }: ModelConfig): ModelConfig["targets"] {
  return targets.slice(first, first + count);
}

/** Its own first, and behind them those of the stable side: what fails here is tried there. */
function canaryTargets({ list }: ArmsConfig, arm: ArmConfig, model: ModelConfig): ModelConfig["targets"] {
  const [stable] = list;
  assert(stable !== undefined, "a canary has a stable side");
  const own = ownTargets(arm, model);
  const highest = Math.max(...own.map(({ priority }) => priority)) + 1;
  return [...own, ...ownTargets(stable, model).map((one) => ({ ...one, priority: highest + one.priority }))];
}
