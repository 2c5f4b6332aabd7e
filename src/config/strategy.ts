/** What the file says of how a target is chosen. Supervisor and command line. Pure. */
import { z } from "zod";
import { readHeaderName } from "./scalar.ts";
import { scalar } from "./shape.ts";
import { type HashBy, STRATEGIES } from "./snapshot.ts";

const STRATEGY_TEXT = [
  "How a target is chosen among those of the same priority. priority: the first one in the file",
  "weighted: by chance, each by its weight",
  "round_robin: one after the other",
  "least_in_flight: the one with the fewest requests in flight for its weight, of all workers",
  "latency: of two taken by chance, the one that will begin to answer first",
  "cost: the one at which the request costs least (prices)",
  "headroom: the one whose provider leaves the most of its rate limits, by its answers",
  "hash: the same one for the same key, user or header (hash_by), by its weight.",
].join("; ");

export const STRATEGY = z.enum(STRATEGIES).default("priority").describe(STRATEGY_TEXT);

const EXPECTED = "expected key, user or { header: NAME }";

/** A single word says what it is. */
const HASH_BY_FORM = z.preprocess(
  (value) => (typeof value === "string" ? { is: value } : value),
  z
    .strictObject(
      {
        is: z.enum(["key", "user"], EXPECTED).optional(),
        header: scalar(readHeaderName).meta({ expects: "NAME" }).optional(),
      },
      { error: (issue) => (issue.code === "unrecognized_keys" ? "header" : EXPECTED) },
    )
    .refine((form) => Object.keys(form).length === 1, EXPECTED),
);

export const HASH_BY = HASH_BY_FORM.optional()
  .meta({ expects: "key, user or { header: NAME }" })
  .describe(
    "What requests go by with the strategy hash: the gateway key, the request's user, or a header of the client's. One that lacks it goes by its key.",
  );

/** Null: there is none. */
export function hashByOf(form: z.output<typeof HASH_BY>): HashBy | null {
  if (form === undefined) return null;
  const { is, header } = form;
  return header === undefined ? { by: is ?? "key", line: "" } : { by: "header", line: `\r\n${header.toLowerCase()}: ` };
}
