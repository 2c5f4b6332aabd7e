/**
 * Admission at any target of a route: one whose own limits have no room for a request gives way to the next one. Step of the pipeline. Where all
 * of them refuse, the client is told of the refusal that is over first.
 */
import type { Exchange, Verdict } from "./exchange.ts";
import type { Limiter, Refused } from "./limit.ts";
import { chooseAnother, leaveTarget } from "./route.ts";

/** Null: it is admitted. Where no target takes it, the last word is that of the one that has room first, and counts as one refusal. */
export function admitSomewhere(exchange: Exchange, limiter: Limiter): Verdict {
  if (!limiter.ofTargets || exchange.choice === null) return limiter.admit(exchange);
  return attemptSomewhere(exchange, limiter) === null ? null : limiter.admit(exchange);
}

/** The same, and a refusal is not counted, because the request is asked again: it may wait. */
export function attemptSomewhere(exchange: Exchange, limiter: Limiter): Refused | null {
  let refused = limiter.attempt(exchange);
  if (refused === null || !limiter.refusedTarget) return refused;
  const soonest = new Soonest(exchange, limiter, refused);
  while (limiter.refusedTarget && chooseAnother(exchange)) {
    refused = limiter.attempt(exchange);
    if (refused === null) return null;
    soonest.note(exchange, limiter, refused);
  }
  return soonest.standIn(exchange);
}

/** Of refusals at several targets the one that is over first, with all that it left in its exchange. */
class Soonest {
  #refused: Refused;
  #forMs: number;
  #standing: Standing;

  constructor(exchange: Exchange, { refusedForMs }: Limiter, refused: Refused) {
    this.#refused = refused;
    this.#forMs = refusedForMs;
    this.#standing = standingOf(exchange);
  }

  note(exchange: Exchange, { refusedForMs }: Limiter, refused: Refused): void {
    if (refusedForMs >= this.#forMs) return;
    this.#refused = refused;
    this.#forMs = refusedForMs;
    this.#standing = standingOf(exchange);
  }

  /** The exchange is as it was then: at that target, and with what it is told. */
  standIn(exchange: Exchange): Refused {
    leaveTarget(exchange);
    Object.assign(exchange, this.#standing);
    return this.#refused;
  }
}

/** What a refusal depends on, or leaves behind. */
type Standing = Pick<
  Exchange,
  "choice" | "chain" | "target" | "tried" | "standing" | "retryLines" | "refusedBy" | "detail"
>;

function standingOf({ choice, chain, target, tried, standing, retryLines, refusedBy, detail }: Exchange): Standing {
  return { choice, chain, target, tried, standing, retryLines, refusedBy, detail };
}
