/** What the schema cannot see of `rate_limits`: names that must exist or differ, and settings that need another one. Pure. */
import { LIMIT_RULES_MAX } from "../base/limits.ts";
import { budgetRulesOf } from "./budget.ts";
import { type Finding, findingAt } from "./finding.ts";
import { sameNames, unknownNames } from "./limit-scope.ts";
import { limitRulesOf, type RateLimitForm } from "./rate-limit.ts";
import type { Form } from "./schema.ts";

/** A bucket says when it is full again, in nanoseconds that have 63 bits. */
const REFILL_MS_MAX = 366 * 86_400_000;

export function checkRateLimits(form: Form): readonly Finding[] {
  const rules = form.rate_limits;
  const count = rules.flatMap(limitRulesOf).length + form.budgets.flatMap(budgetRulesOf).length;
  const excess =
    count > LIMIT_RULES_MAX
      ? [
          findingAt(
            ["rate_limits"],
            `at most ${LIMIT_RULES_MAX} limits are taken, not ${count}; a rule or budget has one for each quantity`,
          ),
        ]
      : [];
  return [
    ...excess,
    ...rules.flatMap((rule, index) => [...settings(rule, index), ...unknownNames(form, "rate_limits", rule, index)]),
    ...sameNames("rate_limits", rules, "rule"),
  ];
}

function settings(rule: RateLimitForm, index: number): readonly Finding[] {
  const rates = [rule.requests, rule.tokens, rule.input_tokens, rule.output_tokens].filter(
    (rate) => rate !== undefined,
  );
  const at = (field: string, message: string) => findingAt(["rate_limits", index, field], message);
  const findings: Finding[] = [];
  if (limitRulesOf(rule).length === 0)
    findings.push(
      findingAt(
        ["rate_limits", index],
        "this limits nothing; give it requests, tokens, input_tokens, output_tokens, concurrency or bytes_in_flight",
      ),
    );
  if (rule.burst !== undefined && rates.length !== 1)
    findings.push(
      at("burst", "this needs exactly one of requests, tokens, input_tokens and output_tokens in its rule"),
    );
  if (rule.burst !== undefined && rule.algorithm === "fixed_window")
    findings.push(at("burst", "a fixed window has no burst"));
  const slow = rates.find((rate) => ((rule.burst ?? rate.amount) / rate.amount) * rate.periodMs > REFILL_MS_MAX);
  if (slow !== undefined)
    findings.push(at("burst", "at this rate it would take more than a year until all of this is there again"));
  if (new Set(rule.scope).size !== rule.scope.length) findings.push(at("scope", "one of these is given twice"));
  return findings;
}
