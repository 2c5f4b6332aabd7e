/**
 * What checks say about a provider, for all workers in a slot of the map of breakers. Gateway worker; pure but for that. One check runs at
 * a time (claimCheck), so only its worker writes the verdict; everybody reads it.
 */
import type { HealthCheck } from "../config/snapshot.ts";
import { HEALTH_AT } from "../shm/breakers.ts";
import { isDue, tickOf } from "../shm/ticks.ts";

/** A tenth, to both sides: so that machines that began together do not stay together. */
const JITTER = 0.2;

export function isUnhealthy({ state }: HealthCheck): boolean {
  return Atomics.load(state, HEALTH_AT.unhealthy) !== 0;
}

/** Whether a check is due, and this worker the one to make it. */
export function claimCheck({ state, intervalMs }: HealthCheck, wallMs: number, chance: number): boolean {
  const due = Atomics.load(state, HEALTH_AT.due);
  if (due !== 0 && !isDue(due >>> 1, tickOf(wallMs))) return false;
  const next = 2 * tickOf(wallMs + intervalMs * (1 + JITTER * (chance - 0.5))) + 1;
  return Atomics.compareExchange(state, HEALTH_AT.due, due, next) === due;
}

/** A check is over. True: the provider is unhealthy now, or healthy again. */
export function judge(check: HealthCheck, good: boolean): boolean {
  const { state, unhealthyAfter, healthyAfter } = check;
  Atomics.add(state, HEALTH_AT.checks, 1);
  if (!good) Atomics.add(state, HEALTH_AT.failures, 1);
  if (good !== isUnhealthy(check)) {
    Atomics.store(state, HEALTH_AT.inARow, 0);
    return false;
  }
  const inARow = Atomics.add(state, HEALTH_AT.inARow, 1) + 1;
  if (inARow < (good ? healthyAfter : unhealthyAfter)) return false;
  Atomics.store(state, HEALTH_AT.inARow, 0);
  Atomics.store(state, HEALTH_AT.unhealthy, good ? 0 : 1);
  return true;
}
