/** What the file says of canaries. Supervisor and command line. Pure. */
import type { z } from "zod";
import {
  CANARY_ERROR_PERCENT_DEFAULT,
  CANARY_LATENCY_PERCENT_DEFAULT,
  CANARY_LATENCY_PERCENT_MAX,
  CANARY_PERCENT_DEFAULT,
  CANARY_PERCENT_MAX,
  CANARY_PERCENTILE_DEFAULT,
  CANARY_REQUESTS_DEFAULT,
  CANARY_REQUESTS_MAX,
  CANARY_REQUESTS_MIN,
  CANARY_WINDOW_MS_DEFAULT,
  CANARY_WINDOW_MS_MAX,
  CANARY_WINDOW_MS_MIN,
} from "../base/limits.ts";
import { readDuration, readInteger } from "./scalar.ts";
import { mapping, scalar, section } from "./shape.ts";
import type { RollbackRules } from "./snapshot.ts";
import { destinationFields, STICKY_FIELDS } from "./split.ts";

const integer = (byDefault: number, min: number, max: number) =>
  scalar(readInteger(min, max))
    .meta({ expects: `${min} to ${max}` })
    .default(byDefault);

const ROLLBACK = mapping({
  error_percent: integer(CANARY_ERROR_PERCENT_DEFAULT, 1, 100).describe(
    "Its share of failures is more than the stable side's by this, in points of a hundred.",
  ),
  latency_percent: integer(CANARY_LATENCY_PERCENT_DEFAULT, 101, CANARY_LATENCY_PERCENT_MAX).describe(
    "It takes more than this share of the stable side's time to begin an answer, at the percentile.",
  ),
  percentile: integer(CANARY_PERCENTILE_DEFAULT, 50, 99).describe("Of latency_percent."),
  requests: integer(CANARY_REQUESTS_DEFAULT, CANARY_REQUESTS_MIN, CANARY_REQUESTS_MAX).describe(
    "Requests of a window that each side has to have at least.",
  ),
  window: scalar(readDuration(CANARY_WINDOW_MS_MIN, CANARY_WINDOW_MS_MAX))
    .meta({ expects: "duration" })
    .default(CANARY_WINDOW_MS_DEFAULT)
    .describe("What is compared, until now."),
});

/** `target`: the form of one, from model.ts. */
export function canaryForm<T extends z.ZodType>(target: T) {
  return mapping({
    ...destinationFields(target),
    percent: integer(CANARY_PERCENT_DEFAULT, 0, CANARY_PERCENT_MAX).describe("Of the requests of the model or route."),
    ...STICKY_FIELDS,
    rollback: section(ROLLBACK, {}).describe(
      "It gets no requests any more when its errors or its latency are worse than those of the model's or route's own targets, and not by chance; until something of canary is changed, or 'sluice canary reset'.",
    ),
  });
}

export function rollbackRulesOf(form: z.output<typeof ROLLBACK>): RollbackRules {
  return {
    errorPercent: form.error_percent,
    latencyPercent: form.latency_percent,
    percentile: form.percentile,
    requests: form.requests,
    windowMs: form.window,
  };
}
