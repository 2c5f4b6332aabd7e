/**
 * Why a request came to its target or its error: its route, its arm, how long it waited for which limit, the tries before, targets that were left alone, the limit or budget that refused
 * it. Gateway worker. Noted as it happens, which is rare; put into words once, for the record and for who asks (explain-header.ts).
 *
 *   route=chat/long;arm=canary;waited=key:230ms;tries=openai/gpt-4o-mini:rate_limit,azure/gpt-4o:timeout;open=ollama/llama3.2;limit=key
 *
 * Names have what could be mistaken percent-encoded. Only what is there is said.
 */
import { nowMs } from "../base/clock.ts";
import { DECISION_TRIES_MAX } from "../base/limits.ts";
import { named } from "../base/named.ts";
import { FAILURES, REQUEST_FAILURES, type Target } from "../config/snapshot.ts";
import { DECISION_LABEL_BYTES } from "../telemetry/record.ts";
import type { Exchange } from "./exchange.ts";

/** The length is in front of the text. */
const TEXT_CHARACTERS_MAX = DECISION_LABEL_BYTES - 1;
/** Of failures, by the place of their bits. */
export const FAILURE_NAMES = [...FAILURES, ...REQUEST_FAILURES];
/** In the place of tries that there is no room for. */
const EARLIER = "..";

/** Instead of a failure: it was given up for one that answered first. */
export const SLOWER = 0;

/** A try that another one followed. */
export interface FailedTry {
  readonly target: Target;
  /** The bit of its kind: failureBit(); or SLOWER. */
  readonly failure: number;
  /** Place of the credential that it was sent with; -1: its provider has no choice of them. */
  readonly credential: number;
}

/** The last ones are kept. */
export function noteTry(exchange: Exchange, target: Target, failure: number, credential = exchange.credential): void {
  exchange.failedTries ??= [];
  if (exchange.failedTries.length === DECISION_TRIES_MAX) exchange.failedTries.shift();
  exchange.failedTries.push({ target, failure, credential });
}

/** For the record; what has fields of its own there is not in it. Empty: nothing happened. */
export function decisionText(exchange: Exchange): string {
  const { failedTries, leftAlone, unhealthy, full, refusedBy } = exchange;
  const waited = waitedText(exchange);
  const { decision = "", arm = null } = exchange.route ?? {};
  const own = arm === null ? decision : decision === "" ? arm.decision : `${decision};${arm.decision}`;
  if (failedTries === null && (leftAlone | unhealthy | full) === 0 && refusedBy === "" && waited === "") return own;
  const rest = [...passedOverTexts(exchange), refusedBy === "" ? "" : `limit=${named(refusedBy)}`];
  const tries = (failedTries ?? []).map((failed) => tryText(exchange, failed));
  const all = () =>
    [own, waited, tries.length === 0 ? "" : `tries=${tries.join(",")}`, ...rest].filter(isSaid).join(";");
  while (all().length > TEXT_CHARACTERS_MAX && tries.length > 1) tries.splice(0, 2, EARLIER);
  return all();
}

function isSaid(part: string): boolean {
  return part !== "";
}

/** "waited=key:230ms": for which limit, and how long; empty: it did not. */
export function waitedText({ waiting, waitedMs, waitedFor }: Exchange): string {
  // One that ends while it waits is settled before it leaves the queue.
  if (waiting !== null) return waitText(waiting.line.rule.name, nowMs() - waiting.sinceMs);
  return waitedFor === "" ? "" : waitText(waitedFor, waitedMs);
}

function waitText(limit: string, ms: number): string {
  return `waited=${named(limit)}:${Math.round(ms)}ms`;
}

/** "openai/gpt-4o-mini:rate_limit", and "openai/gpt-4o-mini#2:rate_limit" with the second of several credentials. */
export function tryText(exchange: Exchange, { target, failure, credential }: FailedTry): string {
  const how = failure === SLOWER ? "slower" : (FAILURE_NAMES[31 - Math.clz32(failure)] ?? "refused");
  return `${targetText(exchange, target, credential)}:${how}`;
}

export function targetText({ model }: Exchange, { provider, upstreamModel }: Target, credential = -1): string {
  const target = `${named(provider.name)}/${named(upstreamModel ?? model)}`;
  return credential < 0 ? target : `${target}#${credential + 1}`;
}

/** Targets that were passed over: "open=a/b,c/d" for their breakers, or for checks of their providers, or limits without room. */
export function passedOverTexts(exchange: Exchange): readonly string[] {
  const { leftAlone, unhealthy, full } = exchange;
  if ((leftAlone | unhealthy | full) === 0) return [];
  const all = [passedOver(exchange, "open", leftAlone), passedOver(exchange, "unhealthy", unhealthy)];
  return [...all, passedOver(exchange, "full", full)];
}

/** `places`: bits. */
function passedOver(exchange: Exchange, why: string, places: number): string {
  const { route } = exchange;
  if (places === 0 || route === null) return "";
  const all = [...route.choices, ...(route.fallbacks?.extra ?? [])].filter(
    ({ place }) => (places & (1 << place)) !== 0,
  );
  return `${why}=${all.map(({ target }) => targetText(exchange, target)).join(",")}`;
}
