/**
 * Which targets of a route can take a request: before any of them is tried, so that no breaker hears of it. Gateway worker; only where
 * targets say what they can take, in the turn in which the body was scanned.
 */
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import { FEATURES, FEATURES_ALL } from "../base/features.ts";
import type { Capability, Choice, Route, Target } from "../config/snapshot.ts";
import { estimateTokens } from "../providers/response-scan.ts";
import { ENDPOINT_CHAT, ENDPOINT_RESPONSES, takesModel } from "./endpoint.ts";
import type { Exchange } from "./exchange.ts";
import { scan } from "./read-body.ts";

/** Excludes the targets that cannot take it. */
export function checkCapabilities(exchange: Exchange, { choices, fallbacks }: Route): void {
  excludeUnfit(exchange, choices);
  if (fallbacks !== null) excludeUnfit(exchange, fallbacks.extra);
}

function excludeUnfit(exchange: Exchange, choices: readonly Choice[]): void {
  const need = tokensOf(exchange);
  const features = Math.max(exchange.features, 0);
  for (const { place, target } of choices) {
    if (!fits(target.capability, need, features)) exchange.excluded |= 1 << place;
  }
}

/** Of its prompt, by the estimate of limits, and of one answer, as far as it says. How long each of several prompts is, is not known. */
function tokensOf({ endpoint, textBytes, features }: Exchange): number {
  if (!takesModel(endpoint) || features < 0) return 0;
  const isSeveral = scan.listed && endpoint !== ENDPOINT_CHAT && endpoint !== ENDPOINT_RESPONSES;
  return (isSeveral ? 0 : estimateTokens(textBytes)) + Math.max(scan.outputMax, 0);
}

function fits(capability: Capability | null, need: number, features: number): boolean {
  return capability === null || (need <= capability.contextTokens && (features & ~capability.supports) === 0);
}

/** 400 when none of its targets can take it: what is missing at the one that has the most of it. `out`: bits of those that it does not want. */
export function refuseIncapable(exchange: Exchange, route: Route, out: number): ErrorRow | null {
  const need = tokensOf(exchange);
  const features = Math.max(exchange.features, 0);
  let window = 0;
  let missing = features;
  for (const target of targetsOf(route, out)) {
    if (fits(target.capability, need, features)) return null;
    const { contextTokens, supports } = target.capability ?? ANYTHING;
    const lacks = features & ~supports;
    if (lacks === 0) window = Math.max(window, contextTokens);
    missing &= lacks;
  }
  if (window === 0) return exchange.fail(ERRORS.unsupported, namesOf(missing === 0 ? features : missing));
  const detail = `${window} tokens; this request has about ${need}, with those that its answer may have`;
  return exchange.fail(ERRORS.contextTooLong, detail);
}

const ANYTHING: Capability = { contextTokens: Number.POSITIVE_INFINITY, supports: FEATURES_ALL };

function targetsOf({ target, choices }: Route, out: number): readonly Target[] {
  if (choices.length === 0) return [target];
  return choices.filter(({ place }) => (out & (1 << place)) === 0).map((choice) => choice.target);
}

function namesOf(features: number): string {
  return FEATURES.filter((_, place) => (features & (1 << place)) !== 0).join(", ");
}
