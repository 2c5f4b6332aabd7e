/**
 * The strategy `headroom`: the target whose provider's limits leave the largest share (headroom.ts). One that has none left is passed
 * over until its reset, also in favour of targets of a higher priority number; where none has, it is as good as the others. Gateway
 * worker; pure but for the map.
 */
import type { Choice } from "../config/snapshot.ts";
import { roundRobin, type Tried } from "./candidates.ts";
import { outputTokensAtMost, promptTokens } from "./estimate.ts";
import type { Exchange } from "./exchange.ts";
import { headroom, UNTOLD } from "./headroom.ts";

/** What a request takes of a limit of tokens. */
export function tokensOf(exchange: Exchange): number {
  return promptTokens(exchange) + outputTokensAtMost(exchange);
}

export function mostHeadroom(
  exchange: Exchange,
  choices: readonly Choice[],
  first: Choice,
  tried: Tried,
  turn: number,
  now: number,
): Choice {
  const tokens = tokensOf(exchange);
  let best: Choice | null = null;
  let most = 0;
  for (let place = first.place; place < choices.length; place += 1) {
    const choice = choices[place];
    if (choice === undefined || (tried & (1 << place)) !== 0) continue;
    if (best !== null && choice.priority !== best.priority) break;
    const share = shareOf(choice, tokens, now);
    if (share < most || share === 0) continue;
    if (share === most && best !== null && !isSooner(choice, best, turn, choices.length)) continue;
    best = choice;
    most = share;
  }
  return best ?? roundRobin(choices, first, tried, turn);
}

/** Of one whose provider says nothing: by what is in flight there, so that not all requests run to it. */
function shareOf({ state }: Choice, tokens: number, now: number): number {
  const share = headroom(state.learned, tokens, now);
  return share === UNTOLD ? 1 / (1 + state.inFlight.count) : share;
}

/** Whether the turn comes to it before it comes to the other one. */
function isSooner(choice: Choice, other: Choice, turn: number, count: number): boolean {
  return (choice.place - turn + count) % count < (other.place - turn + count) % count;
}
