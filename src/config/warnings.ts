/**
 * What a valid configuration probably does not mean: nobody may use it, or a line in it has no effect. Nothing of this keeps
 * the gateway from starting, because a file that is being set up passes through it. Pure; command line.
 */
import { type Finding, findingAt, nearest } from "./finding.ts";
import { targetsOf } from "./references.ts";
import type { Form } from "./schema.ts";
import { quoted } from "./secret.ts";

export function warningsOf(form: Form): readonly Finding[] {
  return [...nobody(form), ...nothing(form), ...prices(form)];
}

function nobody({ keys }: Form): readonly Finding[] {
  if (keys.length > 0) return [];
  return [findingAt(["keys"], "there is no key, so every request is refused; 'sluice key create' makes one")];
}

function nothing({ models }: Form): readonly Finding[] {
  if (Object.keys(models).length > 0) return [];
  return [findingAt(["models"], "there is no model, so every request that names one is refused")];
}

/** A price is looked up by the name at the provider, or by the name here. */
function prices({ models, prices: priced }: Form): readonly Finding[] {
  const any = models["*"];
  if (any !== undefined && targetsOf(any).some(({ model }) => model === undefined)) return [];
  const known = new Set(
    Object.entries(models).flatMap(([alias, model]) => [
      alias,
      ...targetsOf(model).map((target) => target.model ?? alias),
    ]),
  );
  return Object.keys(priced).flatMap((name) => {
    if (known.has(name)) return [];
    const message = `no model is called ${quoted(name, "this")}, so this price has no effect`;
    return [{ ...findingAt(["prices", name], message, nearest(name, [...known])), at: "key" as const }];
  });
}
