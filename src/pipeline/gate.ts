/** Whether a target takes a try at this moment. Gateway worker; reads shared memory, allocates nothing. */
import type { Choice, Route } from "../config/snapshot.ts";
import { BLOCKED, enterBreaker, PASSES, PROBES } from "./breaker.ts";
import type { Exchange } from "./exchange.ts";
import { isUnhealthy } from "./provider-health.ts";

/** The next try is at `choice`, after those of `tried`; false: it is left alone. */
export function enterChoice(
  exchange: Exchange,
  { breaker }: Route,
  choice: Choice,
  tried: number,
  wallMs: number,
): boolean {
  const { health } = choice.target.provider;
  if (health !== null && exchange.heedsHealth && isUnhealthy(health)) return false;
  const entered = breaker === null ? PASSES : enterBreaker(choice.state.breaker, wallMs, breaker);
  if (entered === BLOCKED) {
    exchange.leftAlone |= 1 << choice.place;
    return false;
  }
  exchange.move(choice, tried);
  exchange.probing = entered === PROBES;
  return true;
}
