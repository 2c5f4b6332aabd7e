/** What the file says of hedging: a second attempt beside one that is slow. Supervisor and command line. Pure. */
import type { z } from "zod";
import {
  HEDGE_AFTER_MS_MAX,
  HEDGE_IN_FLIGHT_DEFAULT,
  HEDGE_IN_FLIGHT_MAX,
  HEDGE_PERCENT_DEFAULT,
} from "../base/limits.ts";
import { Refusal, readDuration, readInteger } from "./scalar.ts";
import { mapping, scalar } from "./shape.ts";
import type { HedgeRules } from "./snapshot.ts";

const P95 = "p95";
const readFixed = readDuration(1, HEDGE_AFTER_MS_MAX);

/** Null: the live percentile. */
function readAfter(text: string): number | null | Refusal {
  if (text === P95) return null;
  const ms = readFixed(text);
  return ms instanceof Refusal ? new Refusal(`${ms.message}; or p95`) : ms;
}

export const HEDGE = mapping({
  after: scalar(readAfter)
    .meta({ expects: "p95 or a duration" })
    .default(null)
    .describe(
      "For how long an attempt may be without an answer: p95 is what 95 of 100 attempts at its target took lately, streams and other answers apart; nothing is hedged before 50 are known.",
    ),
  percent_max: scalar(readInteger(1, 100))
    .meta({ expects: "1 to 100" })
    .default(HEDGE_PERCENT_DEFAULT)
    .describe("So many requests of 100 at most, over the last 10 seconds of all workers; one in any case."),
  in_flight_max: scalar(readInteger(1, HEDGE_IN_FLIGHT_MAX))
    .meta({ expects: `1 to ${HEDGE_IN_FLIGHT_MAX}` })
    .default(HEDGE_IN_FLIGHT_DEFAULT)
    .describe("So many at a time in all workers, those of other models counted as well."),
});

export function hedgeRulesOf(form: z.output<typeof HEDGE>): HedgeRules {
  return { afterMs: form.after, percentMax: form.percent_max, inFlightMax: form.in_flight_max };
}
