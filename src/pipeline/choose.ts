/**
 * Which target of a route is next. Gateway worker; allocates nothing. Among the targets of the lowest priority number that were not
 * tried, the strategy decides; those of a higher number come when none of them is left. Time and chance come from the caller.
 */
import type { Choice, Route } from "../config/snapshot.ts";
import { competes, firstLeft, roundRobin, type Tried } from "./candidates.ts";
import { lowestCost } from "./choose-cost.ts";
import { byHash } from "./choose-hash.ts";
import { mostHeadroom } from "./choose-headroom.ts";
import { lowestLatency } from "./choose-latency.ts";
import type { Exchange } from "./exchange.ts";
import { tickOf } from "./machine-ticks.ts";

/** Null: all were tried. `chance`: at least 0 and below 1. */
export function nextChoice(
  exchange: Exchange,
  route: Route,
  tried: Tried,
  chance: number,
  wallMs: number,
): Choice | null {
  const first = firstLeft(route.choices, tried);
  if (first === null) return null;
  switch (route.strategy) {
    case "priority":
      return first;
    case "weighted":
      return byWeight(route.choices, first, tried, chance);
    case "latency":
      return lowestLatency(exchange, route.choices, first, tried, chance, tickOf(wallMs));
    case "hash":
      return byHash(exchange, route, first, tried);
    default:
      return inTurn(exchange, route, first, tried, wallMs);
  }
}

/** By a strategy that goes round where it has no preference: of all workers one has a turn. */
function inTurn(exchange: Exchange, route: Route, first: Choice, tried: Tried, wallMs: number): Choice {
  for (;;) {
    const turn = Atomics.load(route.turn, 0);
    const choice = preferred(exchange, route, first, tried, turn, wallMs);
    if (Atomics.compareExchange(route.turn, 0, turn, choice.place + 1) === turn) return choice;
  }
}

function preferred(
  exchange: Exchange,
  route: Route,
  first: Choice,
  tried: Tried,
  turn: number,
  wallMs: number,
): Choice {
  const { choices, strategy } = route;
  if (strategy === "headroom") return mostHeadroom(exchange, choices, first, tried, turn, tickOf(wallMs));
  const next = roundRobin(choices, first, tried, turn);
  if (strategy === "round_robin") return next;
  return strategy === "cost" ? lowestCost(exchange, choices, next, tried) : leastInFlight(choices, next, tried);
}

function byWeight(choices: readonly Choice[], first: Choice, tried: Tried, chance: number): Choice {
  let left = chance * weightOf(choices, first, tried);
  let last = first;
  for (let place = first.place; place < choices.length; place += 1) {
    const choice = choices[place];
    if (choice === undefined || !competes(choice, first, tried)) continue;
    last = choice;
    left -= choice.weight;
    if (left < 0) return choice;
  }
  return last;
}

function weightOf(choices: readonly Choice[], first: Choice, tried: Tried): number {
  let sum = 0;
  for (let place = first.place; place < choices.length; place += 1) {
    const choice = choices[place];
    if (choice !== undefined && competes(choice, first, tried)) sum += choice.weight;
  }
  return sum;
}

/** For its weight; among equal ones the next one of the turn, so that few requests are spread as well. */
function leastInFlight(choices: readonly Choice[], next: Choice, tried: Tried): Choice {
  let best = next;
  let least = next.state.inFlight.count;
  for (let step = 1; step < choices.length; step += 1) {
    const choice = choices[(next.place + step) % choices.length];
    if (choice === undefined || !competes(choice, next, tried)) continue;
    const { count } = choice.state.inFlight;
    if (count * best.weight >= least * choice.weight) continue;
    best = choice;
    least = count;
  }
  return best;
}
