/**
 * What comes after a failed try: a fallback to the next target at once, a retry of those that were tried after a pause, or no more.
 * Gateway worker; called on failures only. Time and chance come from the caller. A request is tried `attempts` times at most, and a
 * retry, which meets a target again that just failed, needs a share of the budget as well.
 */
import { machineMs } from "../base/clock.ts";
import type { Retries, Route } from "../config/snapshot.ts";
import { onCanary } from "./canary.ts";
import type { Exchange } from "./exchange.ts";
import { chooseFallback } from "./fallbacks.ts";
import { noteRequest, takeOne } from "./retry-budget.ts";
import { chooseTarget } from "./route.ts";

/** Instead of a pause: no more. */
export const NO_MORE = -1;
/** The first pause times two to the power of this is more than the longest. */
const DOUBLINGS_MAX = 20;

export class Retrier {
  readonly #chance: () => number;

  constructor(chance: () => number) {
    this.#chance = chance;
  }

  /** A request begins whose route knows retries. */
  request({ snapshot }: Exchange, wallMs: number): void {
    noteRequest(snapshot.retried, machineMs(wallMs));
  }

  /** Sets the next target, and says after which pause it is tried, milliseconds; NO_MORE leaves everything as it is. */
  next(exchange: Exchange, failure: number, retryAfterMs: number, nowMs: number, wallMs: number): number {
    const { route, snapshot } = exchange;
    if (route === null || triesOf(exchange) >= route.attempts) return NO_MORE;
    const isWanted = (snapshot.retries.failures & failure) !== 0;
    // A canary's failures are not for clients, whatever they are.
    if ((isWanted || onCanary(exchange)) && this.#fallBack(exchange, route, wallMs)) return 0;
    const tried = triedBy(exchange);
    if (tried !== 0 && chooseFallback(exchange, route, failure, tried, wallMs)) return 0;
    return isWanted && route.retries ? this.#retry(exchange, route, retryAfterMs, nowMs, wallMs) : NO_MORE;
  }

  #fallBack(exchange: Exchange, route: Route, wallMs: number): boolean {
    // One that came to its fallbacks has no others left.
    if (exchange.choice === null || exchange.chain.length > 0) return false;
    return chooseTarget(exchange, route, triedBy(exchange), wallMs, this.#chance);
  }

  #retry(exchange: Exchange, route: Route, retryAfterMs: number, nowMs: number, wallMs: number): number {
    const { retries, retried } = exchange.snapshot;
    const pauseMs = Math.max(this.#pauseMs(exchange, retries), retryAfterMs);
    const tooLong = pauseMs > retries.pauseMaxMs || nowMs + pauseMs >= exchange.startedMs + exchange.totalMs;
    if (tooLong || !takeOne(retried, machineMs(wallMs), retries.budgetPercent, retries.budgetMin)) return NO_MORE;
    if (exchange.choice !== null && !chooseTarget(exchange, route, route.once, wallMs + pauseMs, this.#chance))
      return NO_MORE;
    exchange.rounds += 1;
    return Math.max(1, pauseMs);
  }

  /** Full jitter (aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter). */
  #pauseMs({ rounds }: Exchange, { pauseMs, pauseMaxMs }: Retries): number {
    return this.#chance() * Math.min(pauseMaxMs, pauseMs * 2 ** Math.min(rounds, DOUBLINGS_MAX));
  }
}

/** Bits of the choices that were tried, the last one included; 0: it has no choice. */
function triedBy({ choice, tried }: Exchange): number {
  return choice === null ? 0 : tried | (1 << choice.place);
}

/**
 * Those that reached the provider, or tried to: a connection that turned out to be closed was none, and neither is another one of
 * the provider's credentials.
 */
export function triesOf({ attempts, replayed, rotations }: Exchange): number {
  return attempts - rotations - (replayed ? 1 : 0);
}
