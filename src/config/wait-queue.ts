/** What the file says of requests that wait for a rate limit instead of being refused. Supervisor and command line. Pure. */
import type { z } from "zod";
import {
  KEY_PRIORITIES,
  KEY_PRIORITY_DEFAULT,
  WAIT_BYTES_DEFAULT,
  WAIT_BYTES_MAX,
  WAIT_MS_MAX,
  WAIT_REQUESTS_DEFAULT,
  WAIT_REQUESTS_MAX,
} from "../base/limits.ts";
import { readDuration, readInteger, readSize } from "./scalar.ts";
import { mapping, scalar } from "./shape.ts";
import type { WaitRules } from "./snapshot.ts";

const RULES = mapping({
  max_wait: scalar(readDuration(1, WAIT_MS_MAX))
    .meta({ expects: "duration" })
    .describe(
      "How long a request waits at most. Clients can ask for less with the header x-sluice-queue-ms; 0: not at all.",
    ),
  max_requests: scalar(readInteger(1, WAIT_REQUESTS_MAX))
    .meta({ expects: `1 to ${WAIT_REQUESTS_MAX}` })
    .default(WAIT_REQUESTS_DEFAULT)
    .describe("How many of them each worker holds; more are refused at once."),
  max_bytes: scalar(readSize(1, WAIT_BYTES_MAX))
    .meta({ expects: "size" })
    .default(WAIT_BYTES_DEFAULT)
    .describe("How much all of their bodies may have, in each worker."),
});

/** The section. */
export const WAIT_QUEUE = RULES.optional().describe(
  "With it, a request that a rate limit has no room for yet waits in memory until there is, instead of being refused at once.",
);

/** Of a key. */
export const KEY_PRIORITY = scalar(readInteger(0, KEY_PRIORITIES - 1))
  .meta({ expects: `0 to ${KEY_PRIORITIES - 1}` })
  .default(KEY_PRIORITY_DEFAULT)
  .describe(
    "Where its requests stand among those that wait for a rate limit (rate_limit_queue): those of a lower number go first.",
  );

export function waitRulesOf(form: z.output<typeof RULES>): WaitRules {
  return { maxWaitMs: form.max_wait, maxRequests: form.max_requests, maxBytes: form.max_bytes };
}
