/**
 * Entries of `budgets`: their schema, what they mean, one LimitRule for each quantity, and what is wrong with them beyond the schema.
 * Supervisor and command line. Pure. A budget is known like a limit: by its name, or by what it counts apart.
 */
import { z } from "zod";
import { isTimeZone } from "../base/calendar.ts";
import { BUDGET_PERIODS, LIMIT_PARTS, type LimitRule } from "../base/limit-terms.ts";
import { BUDGET_ALERTS_MAX, BUDGET_PERCENT_MAX, LIMIT_AMOUNT_MAX, LIMIT_RULES_MAX } from "../base/limits.ts";
import { type Finding, findingAt } from "./finding.ts";
import { APPLIES_FIELDS, nameOf, sameNames, unknownNames } from "./limit-scope.ts";
import { Refusal, readAmount, readDollars, readInteger, readName } from "./scalar.ts";
import type { Form } from "./schema.ts";
import { mapping, scalar } from "./shape.ts";

/** A metric label, among others. */
const NAME_BYTES_MAX = 63;
const TOKENS = ["tokens", "input_tokens", "output_tokens"] as const;

function readTimeZone(text: string): string | Refusal {
  // An offset is one to Intl, and knows no daylight saving time.
  if (/^[A-Za-z]/.test(text) && isTimeZone(text)) return text;
  return new Refusal("expected a time zone by its name, such as UTC or Europe/Berlin");
}

const tokens = scalar(readAmount(1, LIMIT_AMOUNT_MAX))
  .meta({ expects: `1 to ${LIMIT_AMOUNT_MAX}` })
  .optional();

const BUDGET = mapping({
  name: scalar(readName(NAME_BYTES_MAX))
    .meta({ expects: "name" })
    .optional()
    .describe("For metrics, alerts and messages; without it, what it counts apart, such as key+model."),
  scope: z
    .array(z.enum(LIMIT_PARTS))
    .meta({ expects: `list of ${LIMIT_PARTS.join(", ")}` })
    .default([])
    .describe(
      "Who has this much each: each key for itself, each pair of team and model, and so on. Without it, all together.",
    ),
  ...APPLIES_FIELDS,
  usd: scalar(readDollars)
    .meta({ expects: "USD" })
    .optional()
    .describe("Money, by `prices`. Models without a price are not counted."),
  tokens: tokens.describe("Tokens of prompts and answers."),
  input_tokens: tokens.describe("Tokens of prompts."),
  output_tokens: tokens.describe("Tokens of answers."),
  per: z
    .enum(BUDGET_PERIODS)
    .describe("The calendar day, week (from Monday) or month after which it begins anew; total: never."),
  time_zone: scalar(readTimeZone)
    .meta({ expects: "time zone" })
    .default("UTC")
    .describe("Whose calendar that is, such as Europe/Berlin."),
  mode: z.enum(["enforce", "observe"]).default("enforce").describe("observe: counts and alerts, and refuses nothing."),
  alert_at: z
    .array(scalar(readInteger(1, BUDGET_PERCENT_MAX)))
    .max(BUDGET_ALERTS_MAX)
    .meta({ expects: "list of percentages" })
    .default([80, 100])
    .describe("Percent of it that the log tells of, once in each period for each that it counts apart."),
});

export const BUDGETS = z.array(BUDGET).max(LIMIT_RULES_MAX);
export type BudgetForm = z.output<typeof BUDGET>;

export function budgetRulesOf(form: BudgetForm): LimitRule[] {
  const base = {
    name: nameOf(form),
    kind: "budget" as const,
    scope: form.scope,
    keys: form.keys ?? null,
    models: form.models ?? null,
    periodMs: 0,
    observes: form.mode === "observe",
    admitsUnplaced: false,
    calendar: { per: form.per, timeZone: form.time_zone },
    alertAt: form.alert_at,
  };
  const money =
    form.usd === undefined ? [] : [{ ...base, quantity: "cost" as const, limit: form.usd, burst: form.usd }];
  const counts = TOKENS.flatMap((quantity) => {
    const limit = form[quantity];
    return limit === undefined ? [] : [{ ...base, quantity, limit, burst: limit }];
  });
  return [...money, ...counts];
}

export function checkBudgets(form: Form): readonly Finding[] {
  return [
    ...form.budgets.flatMap((budget, index) => [
      ...settings(budget, index),
      ...unknownNames(form, "budgets", budget, index),
    ]),
    ...sameNames("budgets", form.budgets, "budget"),
  ];
}

function settings(budget: BudgetForm, index: number): readonly Finding[] {
  const { scope, alert_at: alerts } = budget;
  const findings: Finding[] = [];
  if (budgetRulesOf(budget).length === 0)
    findings.push(
      findingAt(["budgets", index], "this budget is of nothing; give it usd, tokens, input_tokens or output_tokens"),
    );
  if (new Set(scope).size !== scope.length)
    findings.push(findingAt(["budgets", index, "scope"], "one of these is given twice"));
  if (new Set(alerts).size !== alerts.length)
    findings.push(findingAt(["budgets", index, "alert_at"], "one of these is given twice"));
  return findings;
}
