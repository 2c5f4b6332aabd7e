/** What the file says of tries after a failed one. Supervisor and command line. Pure. */
import { z } from "zod";
import {
  RETRY_BUDGET_MIN_DEFAULT,
  RETRY_BUDGET_MIN_MAX,
  RETRY_BUDGET_PERCENT_DEFAULT,
  RETRY_PAUSE_MAX_MS_DEFAULT,
  RETRY_PAUSE_MS_DEFAULT,
  RETRY_PAUSE_MS_MAX,
} from "../base/limits.ts";
import { readDuration, readInteger } from "./scalar.ts";
import { mapping, scalar } from "./shape.ts";
import { FAILURES, type Retries } from "./snapshot.ts";

const duration = (defaultMs: number) =>
  scalar(readDuration(1, RETRY_PAUSE_MS_MAX)).meta({ expects: "duration" }).default(defaultMs);

export const RETRIES = mapping({
  on: z
    .array(z.enum(FAILURES))
    .meta({ expects: `list of ${FAILURES.join(", ")}` })
    .default([...FAILURES])
    .describe(
      "Which failures of a try lead to another one, as long as nothing of an answer is with the client. connect: no connection; reset: it ended, or brought no HTTP; timeout: no answer within timeouts.first_byte, or 408; rate_limit: 429; server_error: 500 and above; credential: 401 and 407; conflict: 409 and 425, which say nothing about the target.",
    ),
  pause: duration(RETRY_PAUSE_MS_DEFAULT).describe(
    "Before a target is tried again: by chance between nothing and this, which doubles each time. A Retry-After of the provider's makes it longer.",
  ),
  pause_max: duration(RETRY_PAUSE_MAX_MS_DEFAULT).describe(
    "The longest pause. Where a provider wants a longer one, its answer goes to the client.",
  ),
  budget_percent: scalar(readInteger(0, 100))
    .meta({ expects: "0 to 100" })
    .default(RETRY_BUDGET_PERCENT_DEFAULT)
    .describe(
      "How many requests of 100 may be tried again on a target that they were at, over the last 10 seconds of all workers, so that an outage is not multiplied.",
    ),
  budget_min: scalar(readInteger(0, RETRY_BUDGET_MIN_MAX))
    .meta({ expects: `0 to ${RETRY_BUDGET_MIN_MAX}` })
    .default(RETRY_BUDGET_MIN_DEFAULT)
    .describe("So many may in any case."),
});

export function retriesOf({ on, pause, pause_max, budget_percent, budget_min }: z.output<typeof RETRIES>): Retries {
  const failures = on.reduce((bits, failure) => bits | (1 << FAILURES.indexOf(failure)), 0);
  return { failures, pauseMs: pause, pauseMaxMs: pause_max, budgetPercent: budget_percent, budgetMin: budget_min };
}
