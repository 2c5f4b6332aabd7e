/** What the file says of models whose requests are shared out between arms. Supervisor and command line. Pure. */
import { z } from "zod";
import { ARM_SHARE_MAX, ATTEMPTS_MAX, MODEL_BYTES_MAX, SPLIT_ARMS_MAX, TARGETS_MAX } from "../base/limits.ts";
import { readHeaderName, readInteger, readName } from "./scalar.ts";
import { mapping, scalar } from "./shape.ts";
import { PROVIDER_LABEL_BYTES, STICKY, STRATEGIES } from "./snapshot.ts";

const ARM_NAME_BYTES_MAX = 64;

/** What keeps a client at its arm, for arms of any kind. */
export const STICKY_FIELDS = {
  sticky: z
    .enum(STICKY)
    .default("none")
    .describe(
      "What always gets the same answer. key: the gateway key; user: the request's user; header: the value of a header; none: each request by chance, as it is for one that lacks the user or the header.",
    ),
  header: scalar(readHeaderName)
    .meta({ expects: "name of a header" })
    .optional()
    .describe("Which one, for sticky: header."),
};

/** Where the requests of an arm go. `target`: the form of one, from model.ts. */
export function destinationFields<T extends z.ZodType>(target: T) {
  return {
    provider: scalar(readName(PROVIDER_LABEL_BYTES - 1))
      .meta({ expects: "name of a provider" })
      .optional()
      .describe("Where its requests go. Either this or targets."),
    model: scalar(readName(MODEL_BYTES_MAX))
      .meta({ expects: "name of a model" })
      .optional()
      .describe("Its name there, if it is another one."),
    targets: z.array(target).min(1).max(TARGETS_MAX).optional().describe("As those of a model."),
  };
}

/** `target`: the form of one, from model.ts. */
export function splitForm<T extends z.ZodType>(target: T) {
  const arm = mapping({
    name: scalar(readName(ARM_NAME_BYTES_MAX)).meta({ expects: "name" }).describe("In metrics."),
    share: scalar(readInteger(0, ARM_SHARE_MAX))
      .meta({ expects: `0 to ${ARM_SHARE_MAX}` })
      .describe("Of the requests, beside the shares of the others: 90 and 10, or 9 and 1."),
    ...destinationFields(target),
    strategy: z.enum(STRATEGIES).optional().describe("Among its targets; without it, that of the model or route."),
    attempts: scalar(readInteger(1, ATTEMPTS_MAX))
      .meta({ expects: `1 to ${ATTEMPTS_MAX}` })
      .optional()
      .describe("Tries of one request; without it, those of the model or route, or one at each target."),
  });
  return mapping({ ...STICKY_FIELDS, arms: z.array(arm).min(1).max(SPLIT_ARMS_MAX).describe("Two or more.") });
}
