/**
 * Routes with another strategy than their own, for requests that choose one. Gateway worker. Each is made when the first request wants it, and
 * goes with its route: at most one for each route and strategy.
 */
import type { Choice, Fallbacks, Route, Strategy } from "../config/snapshot.ts";
import { learnsOf } from "../config/strategy-needs.ts";

const MADE = new WeakMap<Route, Map<Strategy, Route>>();

export function withStrategy(route: Route, strategy: Strategy): Route {
  if (route.strategy === strategy) return route;
  const known = MADE.get(route) ?? new Map<Strategy, Route>();
  const made = known.get(strategy) ?? variantOf(route, strategy);
  MADE.set(route, known.set(strategy, made));
  return made;
}

/** With the turns of the route, and targets that teach it what it goes by. */
function variantOf(route: Route, strategy: Strategy): Route {
  const { choices, fallbacks } = route;
  const learns = learnsOf(strategy);
  const all = [...choices, ...(fallbacks?.extra ?? [])].map((choice) => Object.freeze({ ...choice, learns }));
  return Object.freeze({
    ...route,
    strategy,
    choices: all.slice(0, choices.length),
    fallbacks: fallbacks === null ? null : fallbacksOf(fallbacks, all, choices.length),
  });
}

/** Out of `all` choices, by their places. */
export function fallbacksOf(fallbacks: Fallbacks, all: readonly Choice[], count: number): Fallbacks {
  const chainOf = (chain: readonly Choice[]) => chain.flatMap(({ place }) => all[place] ?? []);
  const { chains, instead } = fallbacks;
  return { ...fallbacks, chains: chains.map(chainOf), instead: chainOf(instead), extra: all.slice(count) };
}
