/**
 * Rules of `rate_limits`: their schema, and what they mean, one LimitRule for each quantity. Supervisor and command line. Pure.
 * A rule is known by its name, or by what it counts apart: its state goes on over a reload as long as that stays the same.
 */
import { z } from "zod";
import { LIMIT_PARTS, type LimitQuantity, type LimitRule } from "../base/limit-terms.ts";
import { LIMIT_AMOUNT_MAX, LIMIT_RULES_MAX } from "../base/limits.ts";
import { APPLIES_FIELDS, nameOf } from "./limit-scope.ts";
import { type Rate, readInteger, readName, readRate, readSize } from "./scalar.ts";
import { mapping, scalar } from "./shape.ts";

/** A metric label, among others. */
const NAME_BYTES_MAX = 63;

const rate = scalar(readRate(LIMIT_AMOUNT_MAX)).meta({ expects: "N/s, N/min, N/h or N/day" }).optional();
const count = scalar(readInteger(1, LIMIT_AMOUNT_MAX))
  .meta({ expects: `1 to ${LIMIT_AMOUNT_MAX}` })
  .optional();

const RATE_LIMIT = mapping({
  name: scalar(readName(NAME_BYTES_MAX))
    .meta({ expects: "name" })
    .optional()
    .describe("For metrics and messages; without it, what it counts apart, such as key+model."),
  scope: z
    .array(z.enum(LIMIT_PARTS))
    .meta({ expects: `list of ${LIMIT_PARTS.join(", ")}` })
    .default([])
    .describe(
      "What is counted apart: each key for itself, each pair of key and model, and so on. Without it, all together.",
    ),
  ...APPLIES_FIELDS,
  requests: rate.describe("Requests, such as 100/min."),
  tokens: rate.describe(
    "Tokens of prompts and answers, such as 50_000/min. An estimate is reserved, and corrected at the end.",
  ),
  input_tokens: rate.describe("Tokens of prompts."),
  output_tokens: rate.describe("Tokens of answers."),
  concurrency: count.describe("Requests at a time."),
  bytes_in_flight: scalar(readSize(1, LIMIT_AMOUNT_MAX))
    .meta({ expects: "size" })
    .optional()
    .describe("Bodies of requests that run, together."),
  burst: count.describe(
    "How many requests or tokens a rate lets through at once; without it, as many as for one period.",
  ),
  algorithm: z
    .enum(["gcra", "fixed_window"])
    .default("gcra")
    .describe(
      "gcra: what was used comes back evenly. fixed_window: a count that begins anew with each second, minute, hour or day (UTC).",
    ),
  mode: z
    .enum(["enforce", "observe"])
    .default("enforce")
    .describe("observe: counts what it would refuse, and refuses nothing."),
  when_full: z
    .enum(["refuse", "admit"])
    .default("refuse")
    .describe("What happens to a request when the table of limits has no room for its state."),
});

export const RATE_LIMITS = z.array(RATE_LIMIT).max(LIMIT_RULES_MAX);
export type RateLimitForm = z.output<typeof RATE_LIMIT>;

const RATES = ["requests", "tokens", "input_tokens", "output_tokens"] as const;
const HELD = ["concurrency", "bytes_in_flight"] as const;

export function limitRulesOf(form: RateLimitForm): LimitRule[] {
  const base = {
    name: nameOf(form),
    scope: form.scope,
    keys: form.keys ?? null,
    models: form.models ?? null,
    observes: form.mode === "observe",
    admitsUnplaced: form.when_full === "admit",
    calendar: null,
    alertAt: [],
  };
  const rates = RATES.flatMap((quantity) => {
    const given = form[quantity];
    return given === undefined ? [] : [{ ...base, ...rateOf(form, quantity, given) }];
  });
  const held = HELD.flatMap((quantity) => {
    const limit = form[quantity];
    return limit === undefined ? [] : [{ ...base, quantity, kind: "held" as const, limit, burst: limit, periodMs: 0 }];
  });
  return [...rates, ...held];
}

function rateOf({ algorithm, burst }: RateLimitForm, quantity: LimitQuantity, { amount, periodMs }: Rate) {
  const kind = algorithm === "gcra" ? ("rate" as const) : ("window" as const);
  return { quantity, kind, limit: amount, burst: burst ?? amount, periodMs };
}
