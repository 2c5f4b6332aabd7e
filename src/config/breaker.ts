/** What the file says of breakers. Supervisor and command line. Pure. */
import { z } from "zod";
import {
  BREAKER_COOLDOWN_MAX_MS_DEFAULT,
  BREAKER_COOLDOWN_MS_DEFAULT,
  BREAKER_COOLDOWN_MS_MAX,
  BREAKER_COUNT_MAX,
  BREAKER_ERROR_PERCENT_DEFAULT,
  BREAKER_FAILURES_DEFAULT,
  BREAKER_REQUESTS_DEFAULT,
  BREAKER_WINDOW_MS_DEFAULT,
} from "../base/limits.ts";
import { readBoolean, readDuration, readInteger } from "./scalar.ts";
import { mapping, scalar } from "./shape.ts";
import type { BreakerRules } from "./snapshot.ts";

const duration = (defaultMs: number) =>
  scalar(readDuration(100, BREAKER_COOLDOWN_MS_MAX)).meta({ expects: "duration" }).default(defaultMs);
const integer = (byDefault: number, max: number) =>
  scalar(readInteger(1, max))
    .meta({ expects: `1 to ${max}` })
    .default(byDefault);

/** `breaker: off`. */
function written(value: unknown): unknown {
  return value === "off" ? { enabled: "false" } : value;
}

const RULES = mapping({
  enabled: scalar(readBoolean)
    .meta({ expects: "true or false" })
    .default(true)
    .describe("false: no target is ever left alone. 'breaker: off' is short for it."),
  failures: integer(BREAKER_FAILURES_DEFAULT, BREAKER_COUNT_MAX).describe("So many in a row open it."),
  error_percent: integer(BREAKER_ERROR_PERCENT_DEFAULT, 100).describe(
    "So many of 100 tries of a window open it as well, if it has at least breaker.requests.",
  ),
  requests: integer(BREAKER_REQUESTS_DEFAULT, BREAKER_COUNT_MAX).describe(
    "Tries of a window below which error_percent says nothing.",
  ),
  window: duration(BREAKER_WINDOW_MS_DEFAULT).describe("Of error_percent."),
  cooldown: duration(BREAKER_COOLDOWN_MS_DEFAULT).describe(
    "For how long a target is left alone, give or take a fifth. Then one request tries it; when that fails, it is left alone for twice as long.",
  ),
  cooldown_max: duration(BREAKER_COOLDOWN_MAX_MS_DEFAULT).describe(
    "The longest of these, also where a provider's Retry-After says more.",
  ),
});

export const BREAKER = z.preprocess(written, RULES);

export function breakerRulesOf(form: z.output<typeof BREAKER>): BreakerRules {
  return {
    enabled: form.enabled,
    failures: form.failures,
    errorPercent: form.error_percent,
    requests: form.requests,
    windowMs: form.window,
    cooldownMs: form.cooldown,
    cooldownMaxMs: Math.max(form.cooldown, form.cooldown_max),
  };
}
