/**
 * The Server-Timing header (W3C Server Timing): where the gateway's own time went, in milliseconds.
 *   auth: head read, framing checked, key found    recv: the body arrived    scan: body checked, model found
 *   route: target chosen, request made and handed to the transport           upstream: until the provider's head
 */
import type { Exchange } from "./exchange.ts";

/** "0.000" to "0.999": formatting a fraction costs more than the step that it describes. */
const THOUSANDTHS = Array.from({ length: 1_000 }, (_, us) => `0.${String(us).padStart(3, "0")}`);

/** Milliseconds between two clock reads; a step that was not reached took none. */
function between(fromMs: number, toMs: number): string {
  const us = Math.max(0, Math.round((toMs - fromMs) * 1_000));
  return THOUSANDTHS[us] ?? (us / 1_000).toFixed(3);
}

export function serverTiming(exchange: Exchange): string {
  const { startedMs, authenticatedMs, bodyMs, scannedMs, forwardedMs, headMs } = exchange;
  const auth = between(startedMs, authenticatedMs);
  const recv = between(authenticatedMs, bodyMs);
  const scan = between(bodyMs, scannedMs);
  const route = between(scannedMs, forwardedMs);
  const upstream = between(forwardedMs, headMs);
  return `auth;dur=${auth}, recv;dur=${recv}, scan;dur=${scan}, route;dur=${route}, upstream;dur=${upstream}`;
}
