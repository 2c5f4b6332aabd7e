/** What the file means by split and canary: arms that a model's requests are shared out between. Supervisor and command line. Pure. */
import { type ArmConfig, type ArmsConfig, CANARY, STABLE } from "./arm.ts";
import { rollbackRulesOf } from "./canary.ts";
import type { ModelForm, TargetForm } from "./model.ts";
import type { Strategy } from "./snapshot.ts";

const HUNDRED = 100;

/** A part of a form that says where requests go. */
export interface Ends {
  readonly provider?: string | undefined;
  readonly model?: string | undefined;
  readonly targets?: readonly TargetForm[] | undefined;
  readonly strategy?: Strategy | undefined;
  readonly context_window?: TargetForm["context_window"];
  readonly supports?: TargetForm["supports"];
}

/** The targets of a model or of an arm, also where it has only one and says so without a list. */
export function ownTargets({ provider, model, targets, context_window, supports }: Ends): readonly TargetForm[] {
  if (targets !== undefined) return targets;
  return provider === undefined ? [] : [{ provider, model, weight: 1, priority: 0, context_window, supports }];
}

/** All of a model, those of its arms too, in the order in which ArmConfig counts them. */
export function formTargets(form: ModelForm): readonly TargetForm[] {
  const { split, canary } = form;
  const ofArms = split === undefined ? [] : split.arms.flatMap(ownTargets);
  return [...ownTargets(form), ...ofArms, ...(canary === undefined ? [] : ownTargets(canary))];
}

/** Null: all requests of the model are alike. `fallbacks`: how many targets its fallbacks have. */
export function armsOf(form: ModelForm, fallbacks: number): ArmsConfig | null {
  if (form.split !== undefined) return splitArms(form, form.split, fallbacks);
  return form.canary === undefined ? null : canaryArms(form, form.canary, fallbacks);
}

/** As those of a model: once each, if nothing is said. */
function triesOf(said: number | undefined, own: number, fallbacks: number) {
  if (fallbacks === 0) return { attempts: said ?? own, retries: true };
  return { attempts: said ?? own + fallbacks, retries: (said ?? 0) > own };
}

function splitArms(
  form: ModelForm,
  { sticky, header, arms }: NonNullable<ModelForm["split"]>,
  fallbacks: number,
): ArmsConfig {
  let first = 0;
  const list = arms.map((arm): ArmConfig => {
    const { length: count } = ownTargets(arm);
    const strategy = arm.strategy ?? form.strategy;
    const tries = triesOf(arm.attempts ?? form.attempts, count, fallbacks);
    first += count;
    return { name: arm.name, share: arm.share, first: first - count, count, strategy, ...tries };
  });
  return { sticky, header: (header ?? "").toLowerCase(), list, rollback: null };
}

function canaryArms(form: ModelForm, canary: NonNullable<ModelForm["canary"]>, fallbacks: number): ArmsConfig {
  const { strategy } = form;
  const [stable, own] = [ownTargets(form).length, ownTargets(canary).length];
  const tries = triesOf(form.attempts, stable, fallbacks);
  return {
    sticky: canary.sticky,
    header: (canary.header ?? "").toLowerCase(),
    list: [
      { name: STABLE, share: HUNDRED - canary.percent, first: 0, count: stable, strategy, ...tries },
      {
        name: CANARY,
        share: canary.percent,
        first: stable,
        count: own,
        strategy,
        ...tries,
        attempts: tries.attempts + own,
      },
    ],
    rollback: rollbackRulesOf(canary.rollback),
  };
}
