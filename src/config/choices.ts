/** Targets that models choose among, by what their breakers are known by. Supervisor; pure. */
import type { ModelConfig } from "./model.ts";

/** Of all models that have several. `model`: upstream; "*": the client's. */
export function choicesOf(models: Readonly<Record<string, ModelConfig>>): { provider: string; model: string }[] {
  const several = Object.values(models).filter(({ targets }) => targets.length > 1);
  return several.flatMap(({ targets }) => targets.map(({ provider, model }) => ({ provider, model: model ?? "*" })));
}
