/** What the file says of what a target can take. Supervisor and command line. Pure. */
import { z } from "zod";
import { FEATURES, type Feature } from "../base/features.ts";
import { CONTEXT_TOKENS_MAX } from "../base/limits.ts";
import { readAmount } from "./scalar.ts";
import { scalar } from "./shape.ts";

export interface CapabilityConfig {
  /** Tokens of prompt and answer together; null: not known. */
  readonly contextTokens: number | null;
  /** Null: everything. */
  readonly supports: readonly Feature[] | null;
}

/** Settings of a target. */
export const CAPABILITY = {
  context_window: scalar(readAmount(1, CONTEXT_TOKENS_MAX))
    .meta({ expects: `1 to ${CONTEXT_TOKENS_MAX}` })
    .optional()
    .describe(
      "Tokens that prompt and answer have room for. A request whose estimated prompt and max_tokens are beyond it does not go here.",
    ),
  supports: z
    .array(z.enum(FEATURES))
    .meta({ expects: `list of ${FEATURES.join(", ")}` })
    .optional()
    .describe(
      "What of this its model can do; a request that needs something else does not go here. Without it, everything is assumed.",
    ),
};

type CapabilityForm = {
  readonly context_window?: number | undefined;
  readonly supports?: readonly Feature[] | undefined;
};

/** Null: nothing is said. */
export function capabilityOf({ context_window, supports }: CapabilityForm): CapabilityConfig | null {
  if (context_window === undefined && supports === undefined) return null;
  return { contextTokens: context_window ?? null, supports: supports ?? null };
}
