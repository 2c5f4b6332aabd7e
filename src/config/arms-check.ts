/** What is wrong with arms that the schema cannot see: where their requests go, and names and shares beside each other. Pure. */
import { ARMS_MAX, TARGETS_MAX } from "../base/limits.ts";
import { CANARY, STABLE } from "./arm.ts";
import { type Ends, ownTargets } from "./arms.ts";
import { type Finding, findingAt } from "./finding.ts";
import type { ModelForm } from "./model.ts";
import type { Form } from "./schema.ts";
import { TAKEN_HEADERS } from "./strategy-check.ts";

type Path = readonly PropertyKey[];

/** A part of a model's form that has targets of its own. */
export interface EndsAt {
  readonly path: Path;
  readonly ends: Ends;
}

/** All of a model or route at `path`: the arms of a split stand in the place of its own. */
export function endsOf(path: Path, form: ModelForm): readonly EndsAt[] {
  const { split, canary } = form;
  if (split !== undefined) return split.arms.map((ends, index) => ({ path: [...path, "split", "arms", index], ends }));
  const own = { path, ends: form };
  return canary === undefined ? [own] : [own, { path: [...path, "canary"], ends: canary }];
}

/** How many targets a request of it can have to choose among, without fallbacks. */
export function mostTargets(form: ModelForm): number {
  const { split, canary } = form;
  if (split !== undefined) return Math.max(...split.arms.map((arm) => ownTargets(arm).length));
  return ownTargets(form).length + (canary === undefined ? 0 : ownTargets(canary).length);
}

export function checkArms(form: Form): readonly Finding[] {
  const places = Object.entries(form.models).flatMap(([alias, model]) => placesIn(["models", alias], model));
  const findings = places.flatMap(({ path, place }) => [...splitFindings(path, place), ...canaryFindings(path, place)]);
  const arms = places.reduce((sum, { place: { split, canary } }) => sum + (split?.arms.length ?? (canary ? 2 : 0)), 0);
  if (arms <= ARMS_MAX) return findings;
  return [...findings, findingAt(["models"], `at most ${ARMS_MAX} arms are taken, not ${arms}; a canary has two`)];
}

/** A model, and its routes. */
function placesIn(path: Path, model: ModelForm): readonly { readonly path: Path; readonly place: ModelForm }[] {
  const routes = (model.routes ?? []).map((place, index) => ({ path: [...path, "routes", index], place }));
  return [{ path, place: model }, ...routes];
}

function keyAt(path: Path, message: string): Finding {
  return { ...findingAt(path, message), at: "key" };
}

function splitFindings(path: Path, { split, ...model }: ModelForm): readonly Finding[] {
  if (split === undefined) return [];
  const misplaced = (["provider", "model", "targets"] as const)
    .filter((name) => model[name] !== undefined)
    .map((name) => keyAt([...path, name], "this stands at each of the arms of 'split'"));
  const both = model.canary === undefined ? [] : [keyAt([...path, "canary"], "there is either 'split' or 'canary'")];
  return [
    ...misplaced,
    ...both,
    ...armsFindings([...path, "split"], split),
    ...stickyFindings([...path, "split"], split),
  ];
}

function armsFindings(path: Path, { arms }: NonNullable<ModelForm["split"]>): readonly Finding[] {
  const seen = new Set<string>();
  const findings = arms.flatMap(({ name }, index) => {
    const again = seen.has(name);
    seen.add(name);
    return again ? [findingAt([...path, "arms", index, "name"], "another arm has this name")] : [];
  });
  if (arms.length < 2) return [...findings, findingAt([...path, "arms"], "a split has two arms or more")];
  if (arms.some(({ share }) => share > 0)) return findings;
  return [...findings, findingAt([...path, "arms"], "one arm at least needs a share above 0")];
}

function stickyFindings(
  path: Path,
  { sticky, header }: { sticky: string; header?: string | undefined },
): readonly Finding[] {
  if (sticky === "header" && header === undefined)
    return [findingAt([...path, "sticky"], "this needs 'header' as well, the name of one")];
  if (sticky === "header" && TAKEN_HEADERS.has(header?.toLowerCase() ?? ""))
    return [findingAt([...path, "header"], "requests cannot go by this header, because it is not passed on")];
  if (sticky === "header" || header === undefined) return [];
  return [keyAt([...path, "header"], "this is for 'sticky: header'")];
}

function canaryFindings(path: Path, form: ModelForm): readonly Finding[] {
  const { canary, split } = form;
  if (canary === undefined || split !== undefined) return [];
  const at = [...path, CANARY];
  const count = mostTargets(form);
  const many = `a canary and the ${STABLE} side have at most ${TARGETS_MAX} targets together, not ${count}`;
  return [...(count > TARGETS_MAX ? [findingAt(at, many)] : []), ...stickyFindings(at, canary)];
}
