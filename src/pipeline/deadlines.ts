/**
 * All deadlines of everything in flight: which one an exchange has, and when it has to be looked at. Pure; gateway worker. No
 * request has a timer of its own: exchanges stand in a wheel (wheel.ts) that is turned every SWEEP_INTERVAL_MS.
 */
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import { BODY_IDLE_MS_MAX } from "../base/limits.ts";
import type { Timeouts } from "../config/snapshot.ts";
import {
  type Exchange,
  PHASE_BODY,
  PHASE_CONNECTING,
  PHASE_FLUSHING,
  PHASE_PAUSE,
  PHASE_QUEUED,
  PHASE_SENT,
  PHASE_STREAMING,
  PHASE_WAITING,
} from "./exchange.ts";

/** The row that an exchange has run into; null: none. */
export function overdue(exchange: Exchange, nowMs: number): ErrorRow | null {
  if (nowMs > exchange.progressMs + phaseMs(exchange)) return phaseError(exchange);
  if (nowMs <= totalDeadlineMs(exchange)) return null;
  return exchange.phase === PHASE_BODY ? ERRORS.bodyTimeout : ERRORS.upstreamTotalTimeout;
}

/**
 * Until when an exchange that is not overdue at `nowMs` need not be looked at: its deadline, unless it moves on. What it moves
 * on to has a later beginning and some timeout, so its deadline is not before the shortest timeout has passed from now.
 */
export function lookMs(exchange: Exchange, nowMs: number): number {
  const deadlineMs = Math.min(exchange.progressMs + phaseMs(exchange), totalDeadlineMs(exchange));
  return Math.min(deadlineMs, nowMs + shortestMs(exchange.snapshot.timeouts));
}

function totalDeadlineMs({ startedMs, totalMs }: Exchange): number {
  return startedMs + totalMs;
}

function shortestMs({ queueMs, connectMs, firstByteMs, idleMs, stallMs, totalMs }: Timeouts): number {
  return Math.min(queueMs, connectMs, firstByteMs, idleMs, stallMs, totalMs, BODY_IDLE_MS_MAX);
}

/** How long nothing may happen in its phase. */
function phaseMs({ phase, snapshot, down, pauseMs }: Exchange): number {
  const { timeouts } = snapshot;
  switch (phase) {
    case PHASE_BODY:
      return Math.min(timeouts.stallMs, BODY_IDLE_MS_MAX);
    case PHASE_QUEUED:
      return timeouts.queueMs;
    case PHASE_CONNECTING:
      return timeouts.connectMs;
    case PHASE_SENT:
      return timeouts.firstByteMs;
    case PHASE_STREAMING:
      return down.blocked ? timeouts.stallMs : timeouts.idleMs;
    case PHASE_FLUSHING:
      return timeouts.stallMs;
    case PHASE_PAUSE:
    case PHASE_WAITING:
      return pauseMs;
    default:
      return Infinity;
  }
}

function phaseError({ phase, down }: Exchange): ErrorRow {
  switch (phase) {
    case PHASE_BODY:
      return ERRORS.bodyTimeout;
    case PHASE_QUEUED:
      return ERRORS.upstreamQueueTimeout;
    case PHASE_CONNECTING:
      return ERRORS.upstreamConnectTimeout;
    case PHASE_SENT:
      return ERRORS.upstreamFirstByteTimeout;
    case PHASE_STREAMING:
      return down.blocked ? ERRORS.clientStalled : ERRORS.upstreamIdleTimeout;
    default:
      return ERRORS.clientStalled;
  }
}
