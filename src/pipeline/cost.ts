/**
 * What tokens cost: integers all the way, pico-dollars per token times tokens, rounded once to nano-dollars. Gateway worker; pure.
 */
import type { Price, Target } from "../config/snapshot.ts";
import type { Exchange } from "./exchange.ts";

const PICO_PER_NANO = 1_000;

/** Null: none is known. */
export function priceAt({ snapshot, model }: Exchange, { price, upstreamModel }: Target): Price | null {
  return price ?? (upstreamModel === null ? (snapshot.prices.get(model) ?? null) : null);
}

/** What so many tokens may cost, wherever the request is sent in the end: at its dearest target. Below 0: no price is known. */
export function costAtMost(exchange: Exchange, input: number, output: number): number {
  const { target, route } = exchange;
  let most = target === null ? -1 : costAt(exchange, target, input, output);
  if (route === null) return most;
  for (const choice of route.choices) most = Math.max(most, costAt(exchange, choice.target, input, output));
  if (route.fallbacks === null) return most;
  for (const choice of route.fallbacks.extra) most = Math.max(most, costAt(exchange, choice.target, input, output));
  return most;
}

function costAt(exchange: Exchange, target: Target, input: number, output: number): number {
  const price = priceAt(exchange, target);
  return price === null ? -1 : costNanodollars(price, input, 0, output);
}

/** Cost in nano-dollars, rounded half up; cached tokens are part of the input tokens. */
export function costNanodollars(price: Price, input: number, cached: number, output: number): number {
  const pico = (input - cached) * price.inputPico + cached * price.cachedInputPico + output * price.outputPico;
  return Number.isSafeInteger(pico)
    ? Math.round(pico / PICO_PER_NANO)
    : largeCostNanodollars(price, input, cached, output);
}

/** The same beyond 2^53 pico-dollars, 9,007 dollars. */
function largeCostNanodollars(price: Price, input: number, cached: number, output: number): number {
  const pico =
    BigInt(input - cached) * BigInt(price.inputPico) +
    BigInt(cached) * BigInt(price.cachedInputPico) +
    BigInt(output) * BigInt(price.outputPico);
  const half = BigInt(PICO_PER_NANO / 2);
  return Number((pico + half) / BigInt(PICO_PER_NANO));
}
