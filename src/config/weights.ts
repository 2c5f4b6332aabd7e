/** Weights of targets that change nothing, because the strategy does not go by them. Pure; command line. */
import { endsOf } from "./arms-check.ts";
import { type Finding, findingAt } from "./finding.ts";
import type { ModelForm } from "./model.ts";
import type { Form } from "./schema.ts";
import type { Strategy } from "./snapshot.ts";

const BY_WEIGHT: ReadonlySet<Strategy> = new Set(["weighted", "least_in_flight", "hash"]);

export function weightWarnings({ models, keys }: Form): readonly Finding[] {
  // A request of such a key may bring the strategy that needs them.
  if (keys.some(({ overrides }) => overrides?.includes("strategy"))) return [];
  return Object.entries(models).flatMap(([alias, model]) => {
    const path = ["models", alias];
    const routes = (model.routes ?? []).flatMap((route, index) => ofPlace([...path, "routes", index], route));
    return [...ofPlace(path, model), ...routes];
  });
}

/** The first of each list says it for all. */
function ofPlace(at: readonly PropertyKey[], form: ModelForm): readonly Finding[] {
  return endsOf(at, form).flatMap(({ path, ends }) => {
    const { targets = [], strategy = form.strategy } = ends;
    const place = targets.findIndex(({ weight }) => weight !== 1);
    if (place < 0 || BY_WEIGHT.has(strategy)) return [];
    const message = `'strategy: ${strategy}' does not go by weights; ${[...BY_WEIGHT].join(", ")} do`;
    return [findingAt([...path, "targets", place, "weight"], message)];
  });
}
