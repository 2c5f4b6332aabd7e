/** Model -> route -> target, as far as the key may. Step of the pipeline; look-ups in the snapshot only. */
import { ERRORS } from "../base/errors.ts";
import type { Route } from "../config/snapshot.ts";
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
  exchange.target = found.target;
  return null;
}

function routeWithoutModel(exchange: Exchange): Verdict {
  if (exchange.key !== null && exchange.key.models !== null) return ERRORS.modelRequiredByKey;
  exchange.target = exchange.snapshot.passthrough;
  return exchange.target === null ? ERRORS.noPassthrough : null;
}
