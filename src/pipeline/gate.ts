/** Whether a target takes a try at this moment. Gateway worker; reads shared memory, allocates nothing. */
import type { Choice, Route } from "../config/snapshot.ts";
import { BLOCKED, blockedMs, enterBreaker, forgo, PASSES, PROBES } from "./breaker.ts";
import type { Exchange } from "./exchange.ts";
import { isUnhealthy } from "./provider-health.ts";

/** The next try is at `choice`, after those of `tried`; false: it is left alone, or its limits have no room, and nothing changed. */
export function enterChoice(
  exchange: Exchange,
  { breaker }: Route,
  choice: Choice,
  tried: number,
  wallMs: number,
): boolean {
  const { health } = choice.target.provider;
  if (health !== null && exchange.heedsHealth && isUnhealthy(health)) {
    exchange.unhealthy |= 1 << choice.place;
    return false;
  }
  const entered = breaker === null ? PASSES : enterBreaker(choice.state.breaker, wallMs, breaker);
  if (entered === BLOCKED) {
    exchange.leftAlone |= 1 << choice.place;
    return false;
  }
  const { choice: before, target: from, tried: triedBefore, gate } = exchange;
  exchange.move(choice, tried);
  if (gate !== null && !gate.move(exchange, from)) {
    if (entered === PROBES) forgo(choice.state.breaker);
    if (before !== null) exchange.move(before, triedBefore);
    exchange.full |= 1 << choice.place;
    return false;
  }
  exchange.probing = entered === PROBES;
  return true;
}

/** After how long the first breaker of the targets that may take it lets a try through, milliseconds; 0: it is not known. */
export function blockedForMs({ excluded }: Exchange, { choices, fallbacks }: Route, wallMs: number): number {
  const own = leastBlockedMs(choices, excluded, wallMs);
  const least = Math.min(own, leastBlockedMs(fallbacks?.extra ?? [], excluded, wallMs));
  return least === Infinity ? 0 : least;
}

function leastBlockedMs(choices: readonly Choice[], out: number, wallMs: number): number {
  let least = Infinity;
  for (const { place, state } of choices) {
    if ((out & (1 << place)) !== 0) continue;
    const ms = blockedMs(state.breaker, wallMs);
    // A probe may be back at any time, or never.
    if (ms >= 0 && ms < least) least = ms;
  }
  return least;
}
