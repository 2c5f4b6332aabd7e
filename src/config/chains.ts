/** The targets of a model with those of its fallbacks, and what these are for. All processes; pure, without the schema. */
import type { ModelConfig, TargetConfig } from "./model.ts";
import { FAILURES, REQUEST_FAILURES } from "./snapshot.ts";

/** Chains by the failure that they are for. default: of a provider's failures that have none of their own. */
export const CHAINS = [...FAILURES, ...REQUEST_FAILURES, "default"] as const;
export type ChainName = (typeof CHAINS)[number];

/** Absent: there is none for it. */
export type FallbacksConfig = Readonly<Partial<Record<ChainName, readonly TargetConfig[]>>>;

/** Those of all chains, each once. */
export function chainTargets(model: Pick<ModelConfig, "fallbacks">): readonly TargetConfig[] {
  return extraTargets({ ...model, targets: [] });
}

/** Those that are not among the targets of the model, each once; their places come after these. */
export function extraTargets({
  targets,
  fallbacks,
}: Pick<ModelConfig, "targets" | "fallbacks">): readonly TargetConfig[] {
  const seen = new Set(targets.map(nameOf));
  return CHAINS.flatMap((name) => fallbacks?.[name] ?? []).filter((target) => {
    const isNew = !seen.has(nameOf(target));
    seen.add(nameOf(target));
    return isNew;
  });
}

export function allTargets(model: Pick<ModelConfig, "targets" | "fallbacks">): readonly TargetConfig[] {
  return [...model.targets, ...extraTargets(model)];
}

export function nameOf({ provider, model }: Pick<TargetConfig, "provider" | "model">): string {
  return `${provider}\n${model ?? "*"}`;
}
