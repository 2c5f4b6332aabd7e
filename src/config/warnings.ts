/**
 * What a valid configuration probably does not mean: nobody may use it, or a line in it has no effect. Nothing of this keeps
 * the gateway from starting, because a file that is being set up passes through it. Pure; command line.
 */
import { formTargets } from "./arms.ts";
import { fallbackForms } from "./fallback.ts";
import { type Finding, findingAt, nearest } from "./finding.ts";
import type { ModelForm } from "./model.ts";
import { routeWarnings } from "./route-check.ts";
import type { Form } from "./schema.ts";
import { quoted } from "./secret.ts";
import { warnOfStrategies } from "./strategy-check.ts";
import { limitWarnings } from "./user-header.ts";
import { weightWarnings } from "./weights.ts";

export function warningsOf(form: Form): readonly Finding[] {
  const ofLimits = [...unpricedIn(form), ...limitWarnings(form)];
  const ofRoutes = [...warnOfStrategies(form), ...weightWarnings(form), ...routeWarnings(form)];
  return [...nobody(form), ...nothing(form), ...prices(form), ...ofLimits, ...ofRoutes];
}

function nobody({ keys }: Form): readonly Finding[] {
  if (keys.length > 0) return [];
  return [findingAt(["keys"], "there is no key, so every request is refused; 'sluice key create' makes one")];
}

function nothing({ models }: Form): readonly Finding[] {
  if (Object.keys(models).length > 0) return [];
  return [findingAt(["models"], "there is no model, so every request that names one is refused")];
}

/** Targets, those of fallbacks and of routes as well. */
function everywhere(model: ModelForm) {
  const places = [model, ...(model.routes ?? [])];
  return places.flatMap((place) => {
    const shadow = place.shadow === undefined ? [] : [place.shadow];
    return [...formTargets(place), ...shadow, ...fallbackForms(place).map(({ target }) => target)];
  });
}

/** A price is looked up by the name at the provider, or by the name here. */
function prices({ models, prices: priced }: Form): readonly Finding[] {
  const any = models["*"];
  if (any !== undefined && everywhere(any).some(({ model }) => model === undefined)) return [];
  const known = new Set(
    Object.entries(models).flatMap(([alias, model]) => [
      alias,
      ...everywhere(model).map((target) => target.model ?? alias),
    ]),
  );
  return Object.keys(priced).flatMap((name) => {
    if (known.has(name)) return [];
    const message = `no model is called ${quoted(name, "this")}, so this price has no effect`;
    return [{ ...findingAt(["prices", name], message, nearest(name, [...known])), at: "key" as const }];
  });
}

/** Models that a budget of money is for and that cost nothing, because they have no price. */
function unpricedIn(form: Form): readonly Finding[] {
  const priced = (alias: string, model: ModelForm) =>
    Object.hasOwn(form.prices, alias) ||
    everywhere(model).every(({ model }) => Object.hasOwn(form.prices, model ?? alias));
  const free = Object.entries(form.models).flatMap(([alias, model]) =>
    alias === "*" || priced(alias, model) ? [] : [alias],
  );
  return form.budgets.flatMap(({ usd, models }, index) => {
    const [first, ...others] = free.filter((alias) => models?.includes(alias) ?? true);
    if (usd === undefined || first === undefined) return [];
    const more = others.length === 0 ? "" : ` and ${others.length} more`;
    const message = `${quoted(first, "a model")}${more} without a price: this budget does not count what is not in 'prices'`;
    return [findingAt(["budgets", index, "usd"], message)];
  });
}
