/** The strategy `cost`: the target at which this request costs least, by its prompt and what it allows. Gateway worker; pure. */
import type { Choice } from "../config/snapshot.ts";
import { competes, type Tried } from "./candidates.ts";
import { priceAt } from "./cost.ts";
import { outputTokensAtMost, promptTokens } from "./estimate.ts";
import type { Exchange } from "./exchange.ts";

/** Those without a price come last. Among equal ones the first from `next` on, which is the turn's. */
export function lowestCost(exchange: Exchange, choices: readonly Choice[], next: Choice, tried: Tried): Choice {
  const input = promptTokens(exchange);
  const output = outputTokensAtMost(exchange);
  let best = next;
  let least = costOf(exchange, next, input, output);
  for (let step = 1; step < choices.length; step += 1) {
    const choice = choices[(next.place + step) % choices.length];
    if (choice === undefined || !competes(choice, next, tried)) continue;
    const cost = costOf(exchange, choice, input, output);
    if (cost >= least) continue;
    best = choice;
    least = cost;
  }
  return best;
}

/** To compare with others: pico-dollars, not rounded. */
function costOf(exchange: Exchange, { target }: Choice, input: number, output: number): number {
  const price = target.price ?? priceAt(exchange, target);
  return price === null ? Infinity : price.inputPico * input + price.outputPico * output;
}
