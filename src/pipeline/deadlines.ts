/**
 * All deadlines of everything in flight, looked at every SWEEP_INTERVAL_MS by one timer per worker: no request has a
 * timer of its own. Pure: says which row an exchange has run into, or null.
 */
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import { BODY_IDLE_MS_MAX } from "../base/limits.ts";
import {
  type Exchange,
  PHASE_BODY,
  PHASE_CONNECTING,
  PHASE_FLUSHING,
  PHASE_QUEUED,
  PHASE_SENT,
  PHASE_STREAMING,
} from "./exchange.ts";

export function overdue(exchange: Exchange, nowMs: number): ErrorRow | null {
  const { timeouts } = exchange.snapshot;
  const error = overduePhase(exchange, nowMs - exchange.progressMs);
  if (error !== null) return error;
  if (nowMs - exchange.startedMs <= timeouts.totalMs) return null;
  return exchange.phase === PHASE_BODY ? ERRORS.bodyTimeout : ERRORS.upstreamTotalTimeout;
}

function overduePhase(exchange: Exchange, waitedMs: number): ErrorRow | null {
  const { timeouts } = exchange.snapshot;
  switch (exchange.phase) {
    case PHASE_BODY:
      return waitedMs > Math.min(timeouts.stallMs, BODY_IDLE_MS_MAX) ? ERRORS.bodyTimeout : null;
    case PHASE_QUEUED:
      return waitedMs > timeouts.queueMs ? ERRORS.upstreamQueueTimeout : null;
    case PHASE_CONNECTING:
      return waitedMs > timeouts.connectMs ? ERRORS.upstreamConnectTimeout : null;
    case PHASE_SENT:
      return waitedMs > timeouts.firstByteMs ? ERRORS.upstreamFirstByteTimeout : null;
    case PHASE_STREAMING:
      if (exchange.down.blocked) return waitedMs > timeouts.stallMs ? ERRORS.clientStalled : null;
      return waitedMs > timeouts.idleMs ? ERRORS.upstreamIdleTimeout : null;
    case PHASE_FLUSHING:
      return waitedMs > timeouts.stallMs ? ERRORS.clientStalled : null;
    default:
      return null;
  }
}
