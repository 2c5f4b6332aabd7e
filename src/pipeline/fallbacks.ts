/**
 * Where a request goes that none of the targets of its model took: the chain of the failure. Gateway worker; called on failures, and when
 * every target is left alone. A chain is in order, and one target of it is tried after the other.
 */
import { type Choice, type Fallbacks, failureBit, REQUEST_FAILURES, type Route } from "../config/snapshot.ts";
import type { Tried } from "./candidates.ts";
import type { Exchange } from "./exchange.ts";
import { enterChoice } from "./gate.ts";

const NONE: readonly Choice[] = [];
const OF_REQUESTS = REQUEST_FAILURES.reduce((bits, failure) => bits | failureBit(failure), 0);

/**
 * After a failed try: what is left of the chain that it is in, then the chain of the failure. Where the request itself was the trouble, what is
 * left is no help, unless it is for that. False: there is nothing.
 */
export function chooseFallback(
  exchange: Exchange,
  route: Route,
  failure: number,
  tried: Tried,
  wallMs: number,
): boolean {
  const { fallbacks } = route;
  if (fallbacks === null) return false;
  const isOfProvider = (failure & OF_REQUESTS) === 0;
  if (isOfProvider && enterChain(exchange, route, exchange.chain, tried, wallMs)) return true;
  return enterChain(exchange, route, chainOf(fallbacks, failure), tried, wallMs);
}

/** Instead of targets that are all left alone, or have no room. */
export function chooseInstead(exchange: Exchange, route: Route, tried: Tried, wallMs: number): boolean {
  return route.fallbacks !== null && enterChain(exchange, route, route.fallbacks.instead, tried, wallMs);
}

/** The next one of the chain that it is in. */
export function chooseNext(exchange: Exchange, route: Route, tried: Tried, wallMs: number): boolean {
  return enterChain(exchange, route, exchange.chain, tried, wallMs);
}

function chainOf({ chains }: Fallbacks, failure: number): readonly Choice[] {
  return chains[31 - Math.clz32(failure)] ?? NONE;
}

function enterChain(exchange: Exchange, route: Route, chain: readonly Choice[], tried: Tried, wallMs: number): boolean {
  const out = tried | exchange.excluded;
  for (const choice of chain) {
    if ((out & (1 << choice.place)) !== 0 || !enterChoice(exchange, route, choice, tried, wallMs)) continue;
    exchange.chain = chain;
    return true;
  }
  return false;
}
