/** Admission at any target of a route: one whose own limits have no room for a request gives way to the next one. Step of the pipeline. */
import type { Exchange, Verdict } from "./exchange.ts";
import type { Limiter, Refused } from "./limit.ts";
import { chooseAnother } from "./route.ts";

/** What the first refusal says is not said where another target takes it. */
export function admitSomewhere(exchange: Exchange, limiter: Limiter): Verdict {
  let verdict = limiter.admit(exchange);
  while (verdict !== null && limiter.refusedTarget && exchange.upload === null && chooseAnother(exchange))
    verdict = limiter.admit(exchange);
  return verdict;
}

/** The same for a request that may wait, whose body is here. */
export function attemptSomewhere(exchange: Exchange, limiter: Limiter): Refused | null {
  let refused = limiter.attempt(exchange);
  while (refused !== null && limiter.refusedTarget && chooseAnother(exchange)) refused = limiter.attempt(exchange);
  return refused;
}
