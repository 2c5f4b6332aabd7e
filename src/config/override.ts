/** What the file says of headers by which requests of a key may choose for themselves. Supervisor and command line. Pure. */
import { z } from "zod";
import { OVERRIDES } from "../base/overrides.ts";

/** `true` stands for all of them, `false` for none. */
function listed(value: unknown): unknown {
  if (value === "true") return [...OVERRIDES];
  return value === "false" ? [] : value;
}

export const KEY_OVERRIDES = z
  .preprocess(listed, z.array(z.enum(OVERRIDES)))
  .meta({ expects: `true, or list of ${OVERRIDES.join(", ")}` })
  .optional()
  .describe(
    "Headers by which its requests may choose for themselves: x-sluice-target: PROVIDER/MODEL, x-sluice-route: NAME, x-sluice-attempts: N, x-sluice-fallback: none, x-sluice-strategy: NAME, x-sluice-timeout-ms: N. From other keys they are refused.",
  );
