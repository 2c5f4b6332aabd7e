/** What is chosen among, models' targets and providers' credentials, by what is known of them. Supervisor; pure. */
import { allTargets } from "./chains.ts";
import type { ModelConfig } from "./model.ts";
import type { Config } from "./schema.ts";

/** Of all models that have several. `model`: upstream; "*": the client's. */
export function choicesOf(models: Readonly<Record<string, ModelConfig>>): { provider: string; model: string }[] {
  const several = Object.values(models)
    .map(allTargets)
    .filter((targets) => targets.length > 1);
  return several.flatMap((targets) => targets.map(({ provider, model }) => ({ provider, model: model ?? "*" })));
}

/** Of all providers that have several. */
export function credentialsOf(providers: Config["providers"]): { provider: string; number: number; value: string }[] {
  const several = Object.entries(providers).filter(([, { credentials }]) => credentials.length > 1);
  return several.flatMap(([provider, { credentials }]) =>
    credentials.map(({ value }, place) => ({ provider, number: place + 1, value })),
  );
}

/** Names of those that are checked. */
export function checkedOf(providers: Config["providers"]): string[] {
  return Object.entries(providers).flatMap(([name, { healthCheck }]) => (healthCheck ? [name] : []));
}
