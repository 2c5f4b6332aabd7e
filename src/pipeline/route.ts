/** Model -> route -> target, as far as the key may. Step of the pipeline; look-ups in the snapshot only. */
import { nowMs, wallMs } from "../base/clock.ts";
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import { type ConditionalRoute, failureBit, type Route } from "../config/snapshot.ts";
import { forgo } from "./breaker.ts";
import { noteBlocked } from "./canary.ts";
import type { Tried } from "./candidates.ts";
import { checkCapabilities, refuseIncapable } from "./capability.ts";
import { nextChoice } from "./choose.ts";
import { holds } from "./conditions.ts";
import { modelDecides } from "./endpoint.ts";
import type { Exchange, Verdict } from "./exchange.ts";
import { chooseFallback, chooseInstead, chooseNext } from "./fallbacks.ts";
import { blockedForMs, enterChoice } from "./gate.ts";
import { noteAsked } from "./lessons.ts";
import { retryLines } from "./limit-headers.ts";
import {
  asWanted,
  checkOverrides,
  checkWithoutModel,
  choosesRoute,
  choosesTarget,
  routeAskedFor,
  stayAtFirst,
  wantsBody,
} from "./override.ts";
import { armRoute } from "./split.ts";

/** What fallbacks take requests for that none of the targets can take. */
const TOO_LONG = failureBit("context_length");

/** Sets `route` and `target`. 403 for a model that the key may not use, 404 for one that nobody serves. */
export function route(exchange: Exchange): Verdict {
  if (exchange.model === "") return routeWithoutModel(exchange);
  const refusal = exchange.route === null ? findRoute(exchange) : null;
  return refusal ?? (exchange.route === null ? null : routeAlong(exchange, exchange.route));
}

/** The same before all of the body is there: `target` stays null where the rest may decide about it. */
export function routeEarly(exchange: Exchange): Verdict {
  const refusal = findRoute(exchange);
  const { route: found } = exchange;
  if (refusal !== null || found === null || found.readsBody) return refusal;
  return exchange.ownLines !== "" && wantsBody(exchange) ? null : routeAlong(exchange, found);
}

function findRoute(exchange: Exchange): Verdict {
  const { snapshot, model, key } = exchange;
  const found: Route | null = snapshot.routes.get(model) ?? snapshot.anyModel;
  if (key !== null && key.models !== null && !modelDecides(exchange)) return ERRORS.modelRequiredByKey;
  if (key !== null && key.models !== null && !key.models.has(model)) {
    // A key's list names aliases that exist, so a name outside of both is unknown rather than forbidden.
    return exchange.fail(found === null ? ERRORS.modelNotFound : ERRORS.modelNotAllowed, model);
  }
  if (found === null) return exchange.fail(ERRORS.modelNotFound, model);
  exchange.route = found;
  return null;
}

/** `found`: its routes with conditions, or its own arms, may stand in its place. */
function routeAlong(exchange: Exchange, found: Route): Verdict {
  if (exchange.ownLines !== "") return routeAsAsked(exchange, found);
  const taken = found.before === null ? found : routeOf(exchange, found, found.before);
  if (taken === null) return exchange.fail(ERRORS.noRoute, exchange.model);
  return enterRoute(exchange, taken.arms === null ? taken : (armRoute(exchange, taken.arms, Math.random) ?? taken));
}

/** The same of a request that may choose for itself. */
function routeAsAsked(exchange: Exchange, found: Route): Verdict {
  const refusal = checkOverrides(exchange);
  if (refusal !== null) return refusal;
  const chosen = choosesRoute(exchange) ? routeAskedFor(exchange, found) : null;
  if (chosen === null && choosesRoute(exchange)) return ERRORS.overrideInvalid;
  exchange.detail = "";
  const taken = chosen ?? (found.before === null ? found : routeOf(exchange, found, found.before));
  if (taken === null) return exchange.fail(ERRORS.noRoute, exchange.model);
  const arms = choosesTarget(exchange) ? null : taken.arms;
  const route = arms === null ? taken : (armRoute(exchange, arms, Math.random) ?? taken);
  const verdict = enterRoute(exchange, asWanted(exchange, route));
  if (verdict === null) stayAtFirst(exchange);
  return verdict;
}

/** The first one whose condition holds, or the model's own; null: it has none. */
function routeOf(exchange: Exchange, own: Route, before: readonly ConditionalRoute[]): Route | null {
  for (const { when, route } of before) if (holds(when, exchange)) return route;
  return own.isEmpty ? null : own;
}

function enterRoute(exchange: Exchange, route: Route): Verdict {
  exchange.route = route;
  const { excluded: unwanted } = exchange;
  if (route.hasCapabilities) checkCapabilities(exchange, route);
  if (route.choices.length === 0) {
    exchange.target = route.target;
    return route.hasCapabilities ? refuseIncapable(exchange, route, unwanted) : null;
  }
  const atMs = wallMs(nowMs());
  if (!chooseAny(exchange, route, atMs, Math.random))
    return refuseIncapable(exchange, route, unwanted) ?? refuseUnavailable(exchange, route, atMs);
  if (route.once !== 0) noteBlocked(exchange, route);
  return null;
}

/** None of its targets takes it; the client is told when the first breaker lets a try through. */
export function refuseUnavailable(exchange: Exchange, route: Route, atMs: number): ErrorRow {
  const waitMs = blockedForMs(exchange, route, atMs);
  if (waitMs > 0) exchange.retryLines = retryLines(waitMs);
  return exchange.fail(ERRORS.noTarget, exchange.model);
}

/**
 * The first target of a request: one of the route's, or of its fallbacks if all of these are left alone. Checks may be wrong, so where they
 * leave nothing they are not heeded.
 */
export function chooseAny(exchange: Exchange, route: Route, atMs: number, chance: () => number): boolean {
  if (chooseEither(exchange, route, atMs, chance)) return true;
  if (!exchange.snapshot.checksHealth) return false;
  exchange.heedsHealth = false;
  return chooseEither(exchange, route, atMs, chance);
}

function chooseEither(exchange: Exchange, route: Route, atMs: number, chance: () => number): boolean {
  if (chooseTarget(exchange, route, 0, atMs, chance)) return true;
  return (
    (exchange.excluded !== 0 && chooseFallback(exchange, route, TOO_LONG, 0, atMs)) ||
    chooseInstead(exchange, route, 0, atMs)
  );
}

/** The next target that was not tried and whose breaker lets it through; false: there is none. */
export function chooseTarget(
  exchange: Exchange,
  route: Route,
  tried: Tried,
  atMs: number,
  chance: () => number,
): boolean {
  let out = tried | exchange.excluded;
  for (;;) {
    const choice = nextChoice(exchange, route, out, chance(), atMs);
    if (choice === null) return false;
    if (enterChoice(exchange, route, choice, tried, atMs)) return true;
    out |= 1 << choice.place;
  }
}

/** Another target, because limits of the one that was chosen do not take it; false: there is none, and it stays the one. */
export function chooseAnother(exchange: Exchange): boolean {
  const { route, choice, tried, chain } = exchange;
  if (route === null || choice === null) return false;
  leaveTarget(exchange);
  const atMs = wallMs(nowMs());
  const all = tried | (1 << choice.place);
  exchange.full |= 1 << choice.place;
  if (chain.length > 0) return chooseNext(exchange, route, all, atMs);
  return chooseTarget(exchange, route, all, atMs, Math.random) || chooseInstead(exchange, route, all, atMs);
}

/** An attempt at the exchange's choice begins. */
export function enterTarget(exchange: Exchange, clock: () => number = nowMs): void {
  const { choice } = exchange;
  if (choice === null || exchange.counted) return;
  exchange.counted = true;
  choice.state.inFlight.enter();
  noteAsked(exchange, choice, clock);
}

/** It is over. */
export function leaveTarget(exchange: Exchange): void {
  if (exchange.choice === null) return;
  // Nobody knows what it would have shown.
  if (exchange.probing) forgo(exchange.choice.state.breaker);
  exchange.probing = false;
  if (!exchange.counted) return;
  exchange.counted = false;
  exchange.choice.state.inFlight.leave();
}

function routeWithoutModel(exchange: Exchange): Verdict {
  if (exchange.key !== null && exchange.key.models !== null) return ERRORS.modelRequiredByKey;
  const refusal = exchange.ownLines === "" ? null : checkWithoutModel(exchange);
  if (refusal !== null) return refusal;
  exchange.target = exchange.snapshot.passthrough;
  return exchange.target === null ? ERRORS.noPassthrough : null;
}
