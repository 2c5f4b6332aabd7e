/** A route with the targets a, b and c, as one of several workers has it. */
import { compileSnapshot, OWN_SLOTS } from "../../src/config/compile.ts";
import type { Strategy } from "../../src/config/snapshot.ts";
import { nextChoice } from "../../src/pipeline/choose.ts";
import { openRoutes } from "../../src/shm/routes.ts";
import { exchangeOf } from "./exchange.ts";
import { configOf, providerConfig } from "./request-path.ts";

const WALL_MS = 1.8e12;

/** Says which target is next. */
export function routeWith(dataDir: string, strategy: Strategy, name = "several"): () => string {
  const targets = ["a", "b", "c"].map((model) => ({ provider: "main", model, weight: 1, priority: 0 }));
  const config = configOf({ main: providerConfig(9) }, dataDir, {
    models: { [name]: { targets, strategy, attempts: 1 } },
  });
  const routes = openRoutes(dataDir);
  const slots = { ...OWN_SLOTS, stateOfRoute: (of: string) => routes.at(of) };
  const route = compileSnapshot(config, 1, undefined, slots).routes.get(name);
  if (route === undefined) throw new Error("the route is not there");
  const exchange = exchangeOf();
  return () => nextChoice(exchange, route, 0, 0, WALL_MS)?.target.upstreamModel ?? "none";
}
