/**
 * How requests of a canary, and of the stable side that it is compared with, go: each is judged once, by its first try, and counted in
 * shared memory (shm/arms.ts). Gateway worker, for models with a canary only. What counts is whether an answer was made and how long it took to begin;
 * an answer that says that the request is wrong counts for nobody, unless it is a canary's and the stable side took the request.
 */
import { nowMs } from "../base/clock.ts";
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import type { Arm, Route } from "../config/snapshot.ts";
import { ARM_AT, armLatencyOf } from "../shm/arms.ts";
import { isFailing } from "./breaker.ts";
import type { Exchange } from "./exchange.ts";
import { CLIENT_ERROR, failureOf, failureOfStatus, isOfTarget } from "./failure.ts";

/** Values of exchange.trial, whose first one is 0: it is open. */
const DOUBTED = 1;
const OVER = 2;

/** Kind of a failure that only a canary has; no bit of FAILURES. */
const REFUSED_BY_CANARY = 1 << 30;

/** Whether its try is at the canary, and not at the stable side behind it. */
export function onCanary({ route, choice }: Exchange): boolean {
  return route !== null && choice !== null && (route.once & (1 << choice.place)) !== 0;
}

/** An answer that is no failure of a provider's: as a canary's it is worth a try at the stable side. 0: it is none. */
export function canaryFailure(exchange: Exchange, status: number): number {
  return status >= CLIENT_ERROR && onCanary(exchange) ? REFUSED_BY_CANARY : 0;
}

/** A request of the canary has a target: when that is not one of its own, they failed so often that their breakers are open. */
export function noteBlocked(exchange: Exchange, { arm, once, choices, breaker }: Route): void {
  if (arm === null || breaker === null || onCanary(exchange)) return;
  exchange.trial = OVER;
  const own = choices.filter(({ place }) => (once & (1 << place)) !== 0);
  if (own.some(({ state }) => isFailing(state.breaker, breaker))) fails(arm);
}

/** Another try follows the one that failed. */
export function notePassedOver(exchange: Exchange): void {
  const arm = exchange.route?.arm;
  if (!arm || exchange.trial !== 0) return;
  const { upstreamStatus: status } = exchange;
  const doubted = status >= CLIENT_ERROR && !isOfTarget(failureOfStatus(status));
  exchange.trial = doubted ? DOUBTED : OVER;
  if (!doubted) fails(arm);
}

/** Before it is settled; a second call does nothing. */
export function noteEnd(exchange: Exchange, arm: Arm): void {
  const { trial, error, upstreamStatus, status } = exchange;
  if (!arm.judged || trial === OVER) return;
  exchange.trial = OVER;
  // Limits kept it from the canary.
  if (arm.canary && exchange.full !== 0 && trial === 0 && !onCanary(exchange)) return;
  if (trial === DOUBTED) {
    if (status < CLIENT_ERROR) fails(arm);
  } else if (isFailure(error) || isOfTarget(failureOfStatus(upstreamStatus))) fails(arm);
  else if (exchange.sent && upstreamStatus < CLIENT_ERROR) passes(arm, beganMs(exchange) - exchange.forwardedMs);
}

/** One of a provider's, or that all targets are left alone. */
function isFailure(error: ErrorRow | null): boolean {
  return error !== null && (failureOf(error) !== 0 || error === ERRORS.noTarget);
}

/** When its answer began; where its client left before, it took at least that long. */
function beganMs({ firstChunkMs, headMs }: Exchange): number {
  if (firstChunkMs > 0) return firstChunkMs;
  return headMs > 0 ? headMs : nowMs();
}

function fails({ words }: Arm): void {
  Atomics.add(words, ARM_AT.failed, 1);
  Atomics.add(words, ARM_AT.judged, 1);
}

function passes({ words }: Arm, ms: number): void {
  Atomics.add(words, ARM_AT.latencies + armLatencyOf(ms), 1);
  Atomics.add(words, ARM_AT.judged, 1);
}
