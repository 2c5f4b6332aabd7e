/**
 * The Server-Timing header (W3C Server Timing): where the gateway's own time went, in milliseconds.
 *   auth: head read, framing checked, key found    recv: the body arrived    scan: body checked, model found
 *   queue: it waited for a rate limit, where it did
 *   route: target chosen, request made and handed to the transport           upstream: until the provider's head
 */
import type { Exchange } from "./exchange.ts";

const US_PER_MS = 1_000;

/** ".000" to ".999". */
const FRACTIONS = Array.from({ length: US_PER_MS }, (_, us) => `.${String(us).padStart(3, "0")}`);

/** One part of the header. What took less than a millisecond, nearly all of it, is a text that was made before. */
class Step {
  readonly #name: string;
  readonly #short: string[] = Array(US_PER_MS).fill("");

  constructor(name: string) {
    this.#name = `${name};dur=`;
  }

  /** Between two clock reads; a step that was not reached took no time. */
  text(fromMs: number, toMs: number): string {
    const us = Math.max(0, Math.round((toMs - fromMs) * US_PER_MS));
    if (us >= US_PER_MS) return this.#make(us);
    const known = this.#short[us] ?? "";
    return known === "" ? this.#keep(us) : known;
  }

  #make(us: number): string {
    const wholeMs = Math.floor(us / US_PER_MS);
    return this.#name + wholeMs + FRACTIONS[us - wholeMs * US_PER_MS];
  }

  /** Flat: V8 keeps what was put together in its parts, and would walk over them each time that it is written. */
  #keep(us: number): string {
    const flat = Buffer.from(this.#make(us)).toString("latin1");
    this.#short[us] = flat;
    return flat;
  }
}

const AUTH = new Step("auth");
const RECV = new Step(", recv");
const SCAN = new Step(", scan");
const ROUTE = new Step(", route");
const UPSTREAM = new Step(", upstream");
const QUEUE = new Step(", queue");

export function serverTiming(exchange: Exchange): string {
  const { startedMs, authenticatedMs, scannedMs, forwardedMs, headMs, waitedMs } = exchange;
  const bodyMs = exchange.bodyMs;
  const own =
    AUTH.text(startedMs, authenticatedMs) +
    RECV.text(authenticatedMs, bodyMs - waitedMs) +
    SCAN.text(bodyMs, scannedMs);
  const queue = waitedMs > 0 ? QUEUE.text(0, waitedMs) : "";
  return own + queue + ROUTE.text(scannedMs, forwardedMs) + UPSTREAM.text(forwardedMs, headMs);
}
