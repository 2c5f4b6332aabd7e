/** What the file says of models: their targets and how one of them is chosen. Supervisor and command line. Pure. */
import { z } from "zod";
import {
  ATTEMPTS_MAX,
  MODEL_BYTES_MAX,
  MODEL_ROUTES_MAX,
  TARGET_PRIORITY_MAX,
  TARGET_WEIGHT_MAX,
  TARGETS_MAX,
} from "../base/limits.ts";
import type { ArmsConfig } from "./arm.ts";
import { canaryForm } from "./canary.ts";
import { CAPABILITY, type CapabilityConfig } from "./capability.ts";
import type { FallbacksConfig } from "./chains.ts";
import { type ConditionConfig, WHEN } from "./condition.ts";
import { fallbacksForm } from "./fallback.ts";
import { HEDGE } from "./hedge.ts";
import { readInteger, readName } from "./scalar.ts";
import { SHADOW } from "./shadow.ts";
import { mapping, scalar } from "./shape.ts";
import { type HashBy, type HedgeRules, PROVIDER_LABEL_BYTES, type Strategy } from "./snapshot.ts";
import { splitForm } from "./split.ts";
import { HASH_BY, STRATEGY } from "./strategy.ts";

export interface TargetConfig {
  readonly provider: string;
  /** Model name upstream; null: the name that the client used. */
  readonly model: string | null;
  readonly weight: number;
  /** Lower ones first. */
  readonly priority: number;
  /** What it can take; without it, everything. */
  readonly capability?: CapabilityConfig | null;
}

/** Where copies of requests go. */
export interface ShadowConfig {
  readonly provider: string;
  readonly model: string | null;
  readonly percent: number;
  readonly inFlight: number;
}

export interface ModelConfig {
  /** In the order of the file; none, if there are only routes with conditions. Those of its arms too. */
  readonly targets: readonly TargetConfig[];
  readonly strategy: Strategy;
  /** Of the strategy `hash`; without it, by the key. */
  readonly hashBy?: HashBy | null;
  /** Tries of one request. */
  readonly attempts: number;
  /** False: `attempts` is what the targets come to, and none of them is tried twice. Absent: true. */
  readonly retries?: boolean;
  readonly fallbacks?: FallbacksConfig;
  /** False: its targets are never left alone. Absent: true. */
  readonly breaker?: boolean;
  /** What its requests are shared out between; null, or absent: nothing. */
  readonly arms?: ArmsConfig | null;
  /** Without it, one at a time. */
  readonly hedge?: HedgeRules | undefined;
  readonly shadow?: ShadowConfig | null;
  /** In their order, before the targets above. */
  readonly routes?: readonly RouteConfig[];
}

/** Where requests of a model go for which conditions hold. */
export interface RouteConfig {
  readonly name: string;
  readonly when: ConditionConfig;
  /** Without routes of its own. */
  readonly to: ModelConfig;
}

/** Of a route, bytes. */
const ROUTE_NAME_BYTES_MAX = 63;

const integer = (byDefault: number, min: number, max: number) =>
  scalar(readInteger(min, max))
    .meta({ expects: `${min} to ${max}` })
    .default(byDefault);
const providerName = scalar(readName(PROVIDER_LABEL_BYTES - 1)).meta({ expects: "name of a provider" });
const modelName = scalar(readName(MODEL_BYTES_MAX)).meta({ expects: "name of a model" });

const TARGET = mapping({
  provider: providerName.describe("Where requests go."),
  model: modelName.optional().describe("Its name there, if it is another one."),
  weight: integer(1, 1, TARGET_WEIGHT_MAX).describe(
    "Its share beside the others of the same priority, for weighted, least_in_flight and hash.",
  ),
  priority: integer(0, 0, TARGET_PRIORITY_MAX).describe(
    "Lower ones first: those of a higher number get requests only when none of a lower one can take them.",
  ),
  ...CAPABILITY,
});

const FALLBACK = mapping({
  provider: providerName.describe("Where requests go."),
  model: modelName.optional().describe("Its name there, if it is another one."),
  ...CAPABILITY,
});

/** Of a model, and of each of its routes. */
const DESTINATION = {
  provider: providerName.optional().describe("Where requests for it go. Either this or targets."),
  model: modelName.optional().describe("Its name there, if it is another one."),
  ...CAPABILITY,
  targets: z
    .array(TARGET)
    .min(1)
    .max(TARGETS_MAX)
    .optional()
    .describe("Where requests for it go, if that is several places."),
  attempts: scalar(readInteger(1, ATTEMPTS_MAX))
    .meta({ expects: `1 to ${ATTEMPTS_MAX}` })
    .optional()
    .describe(
      "Tries of one request at most. Without it, one at each target. With more than that, all of them are tried again, after a pause (retries).",
    ),
  fallbacks: fallbacksForm(FALLBACK)
    .optional()
    .describe(
      "Where a request goes when a try failed and none of the targets is left: for each kind of failure a list, whose targets are tried in its order.",
    ),
  breaker: z
    .enum(["on", "off"])
    .default("on")
    .describe("off: its targets are never left alone, whatever the section breaker says."),
  hedge: HEDGE.optional().describe(
    "Sends a request that waits too long to the next target as well: the first good answer is taken, and the other attempt is cancelled. Both are paid.",
  ),
  strategy: STRATEGY,
  hash_by: HASH_BY,
  shadow: SHADOW.optional().describe(
    "Copies of its requests go to another target as well, whose answers nobody sees. They take nothing from requests, and are accounted apart.",
  ),
  split: splitForm(TARGET)
    .optional()
    .describe("Shares its requests out between arms with targets of their own, which stand in their place (A/B)."),
  canary: canaryForm(TARGET)
    .optional()
    .describe(
      "A share of its requests goes to another target first; what fails there is tried at its own. It is rolled back by itself.",
    ),
};

const ROUTE = mapping({
  name: scalar(readName(ROUTE_NAME_BYTES_MAX))
    .meta({ expects: "name" })
    .describe("What it is called: behind the model's name and a slash in limits and histograms."),
  when: WHEN.describe("All of it has to hold."),
  ...DESTINATION,
});

export const MODEL = mapping({
  ...DESTINATION,
  routes: z
    .array(ROUTE)
    .min(1)
    .max(MODEL_ROUTES_MAX)
    .optional()
    .describe(
      "Other places for some requests. The first route whose conditions hold is taken; if none does, the provider or targets of the model itself.",
    ),
});

export type ModelForm = z.output<typeof MODEL>;
export type RouteForm = z.output<typeof ROUTE>;
export type TargetForm = z.output<typeof TARGET>;
