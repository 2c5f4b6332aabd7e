/** Model -> route -> target, as far as the key may. Step of the pipeline; look-ups in the snapshot only. */
import { nowMs, wallMs } from "../base/clock.ts";
import { ERRORS } from "../base/errors.ts";
import type { Route } from "../config/snapshot.ts";
import { forgo } from "./breaker.ts";
import { noteBlocked } from "./canary.ts";
import { nextChoice, type Tried } from "./choose.ts";
import { modelDecides } from "./endpoint.ts";
import type { Exchange, Verdict } from "./exchange.ts";
import { chooseInstead } from "./fallbacks.ts";
import { enterChoice } from "./gate.ts";
import { armRoute } from "./split.ts";

/** Sets `route` and `target`. 403 for a model that the key may not use, 404 for one that nobody serves. */
export function route(exchange: Exchange): Verdict {
  return exchange.model === "" ? routeWithoutModel(exchange) : routeModel(exchange);
}

function routeModel(exchange: Exchange): Verdict {
  const { snapshot, model, key } = exchange;
  const found: Route | null = snapshot.routes.get(model) ?? snapshot.anyModel;
  if (key !== null && key.models !== null && !modelDecides(exchange)) return ERRORS.modelRequiredByKey;
  if (key !== null && key.models !== null && !key.models.has(model)) {
    // A key's list names aliases that exist, so a name outside of both is unknown rather than forbidden.
    return exchange.fail(found === null ? ERRORS.modelNotFound : ERRORS.modelNotAllowed, model);
  }
  if (found === null) return exchange.fail(ERRORS.modelNotFound, model);
  const chosen = found.arms === null ? found : (armRoute(exchange, found.arms, Math.random) ?? found);
  exchange.route = chosen;
  if (chosen.choices.length === 0) exchange.target = chosen.target;
  else if (!chooseAny(exchange, chosen, wallMs(nowMs()), Math.random)) return exchange.fail(ERRORS.noTarget, model);
  if (chosen.once !== 0) noteBlocked(exchange, chosen);
  return null;
}

/**
 * The first target of a request: one of the route's, or of its fallbacks if all of these are left alone. Checks may be wrong, so where they
 * leave nothing they are not heeded.
 */
export function chooseAny(exchange: Exchange, route: Route, atMs: number, chance: () => number): boolean {
  if (chooseTarget(exchange, route, 0, atMs, chance) || chooseInstead(exchange, route, atMs)) return true;
  if (!exchange.snapshot.checksHealth) return false;
  exchange.heedsHealth = false;
  return chooseTarget(exchange, route, 0, atMs, chance) || chooseInstead(exchange, route, atMs);
}

/** The next target that was not tried and whose breaker lets it through; false: there is none. */
export function chooseTarget(
  exchange: Exchange,
  route: Route,
  tried: Tried,
  atMs: number,
  chance: () => number,
): boolean {
  const { choices, strategy, turn } = route;
  let out = tried;
  for (;;) {
    const choice = nextChoice(choices, strategy, turn, out, chance());
    if (choice === null) return false;
    if (enterChoice(exchange, route, choice, tried, atMs)) return true;
    out |= 1 << choice.place;
  }
}

/** Another target, because limits of the one that was chosen do not take it; false: there is none, and it stays the one. */
export function chooseAnother(exchange: Exchange): boolean {
  const { route, choice, tried, chain } = exchange;
  if (route === null || choice === null || chain.length > 0) return false;
  leaveTarget(exchange);
  const atMs = wallMs(nowMs());
  const all = tried | (1 << choice.place);
  exchange.full |= 1 << choice.place;
  return chooseTarget(exchange, route, all, atMs, Math.random) || chooseInstead(exchange, route, atMs);
}

/** An attempt at the exchange's choice begins. */
export function enterTarget(exchange: Exchange): void {
  if (exchange.choice === null || exchange.counted) return;
  exchange.counted = true;
  exchange.choice.state.inFlight += 1;
}

/** It is over. */
export function leaveTarget(exchange: Exchange): void {
  if (exchange.choice === null) return;
  // Nobody knows what it would have shown.
  if (exchange.probing) forgo(exchange.choice.state.breaker);
  exchange.probing = false;
  if (!exchange.counted) return;
  exchange.counted = false;
  exchange.choice.state.inFlight -= 1;
}

function routeWithoutModel(exchange: Exchange): Verdict {
  if (exchange.key !== null && exchange.key.models !== null) return ERRORS.modelRequiredByKey;
  exchange.target = exchange.snapshot.passthrough;
  return exchange.target === null ? ERRORS.noPassthrough : null;
}
