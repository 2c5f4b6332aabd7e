/** Model -> route -> target, as far as the key may. Step of the pipeline; look-ups in the snapshot only. */
import { ERRORS } from "../base/errors.ts";
import type { Route } from "../config/snapshot.ts";
import { nextChoice } from "./choose.ts";
import { modelDecides } from "./endpoint.ts";
import type { Exchange, Verdict } from "./exchange.ts";

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
  exchange.route = found;
  if (found.choices.length === 0) exchange.target = found.target;
  else choose(exchange, found);
  return null;
}

function choose(exchange: Exchange, { choices, strategy, turn }: Route): void {
  const choice = nextChoice(choices, strategy, turn, 0, Math.random());
  exchange.choice = choice;
  exchange.target = choice === null ? null : choice.target;
}

/** An attempt at the exchange's choice begins. */
export function enterTarget(exchange: Exchange): void {
  if (exchange.choice === null || exchange.counted) return;
  exchange.counted = true;
  exchange.choice.state.inFlight += 1;
}

/** It is over. */
export function leaveTarget(exchange: Exchange): void {
  if (exchange.choice === null || !exchange.counted) return;
  exchange.counted = false;
  exchange.choice.state.inFlight -= 1;
}

function routeWithoutModel(exchange: Exchange): Verdict {
  if (exchange.key !== null && exchange.key.models !== null) return ERRORS.modelRequiredByKey;
  exchange.target = exchange.snapshot.passthrough;
  return exchange.target === null ? ERRORS.noPassthrough : null;
}
