/**
 * The Server-Timing header (W3C Server Timing): where the gateway's own time went, in milliseconds.
 *   auth: head read, framing checked, key found    recv: the body arrived    scan: body checked, model found
 *   route: target chosen, request made and handed to the transport           upstream: until the provider's head
 */
import type { Exchange } from "./exchange.ts";

const US_PER_MS = 1_000;

/** ".000" to ".999", and the same behind a zero: formatting a fraction costs more than the step that it describes. */
const FRACTIONS = Array.from({ length: US_PER_MS }, (_, us) => `.${String(us).padStart(3, "0")}`);
const THOUSANDTHS = FRACTIONS.map((fraction) => `0${fraction}`);

/** Milliseconds between two clock reads; a step that was not reached took none. */
function between(fromMs: number, toMs: number): string {
  const us = Math.max(0, Math.round((toMs - fromMs) * US_PER_MS));
  const wholeMs = Math.floor(us / US_PER_MS);
  return THOUSANDTHS[us] ?? wholeMs + (FRACTIONS[us - wholeMs * US_PER_MS] ?? "");
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
