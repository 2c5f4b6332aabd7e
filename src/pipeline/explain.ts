/**
 * What would become of a request that nobody makes. Gateway worker, on order of the control socket; command line, where none runs.
 * The steps are those of the request path, over a copy of what they would change: nothing is chosen, probed or charged for it.
 */

import { addressBytesOf } from "../base/address.ts";
import { nowMs, wallMs } from "../base/clock.ts";
import { ERRORS } from "../base/errors.ts";
import { headerLines } from "../base/header-lines.ts";
import { EXCHANGES_IN_FLIGHT_MAX } from "../base/limits.ts";
import type {
  ExplainedArm,
  ExplainedKey,
  ExplainedLimit,
  ExplainedRefusal,
  ExplainQuestion,
  Explanation,
} from "../config/explanation.ts";
import { type Arms, type KeyRecord, type Route, routesOf, type Snapshot } from "../config/snapshot.ts";
import { estimateTokens } from "../providers/response-scan.ts";
import { ARM_AT } from "../shm/arms.ts";
import type { PeekedLimit } from "../shm/limits.ts";
import { METHODS } from "../telemetry/record.ts";
import { authenticate } from "./authenticate.ts";
import { classify } from "./endpoint.ts";
import { type Downstream, Exchange, type Verdict } from "./exchange.ts";
import { explainQueue, queueVerdict } from "./explain-queue.ts";
import { choicesOf, copyOfRoutes, explainTargets } from "./explain-targets.ts";
import { type Limiter, PERIODS, type Peeked, UNLIMITED } from "./limit.ts";
import { asWanted, takeTimeout } from "./override.ts";
import { readBody } from "./read-body.ts";
import { errorBody } from "./rescue.ts";
import { chooseAnother, route } from "./route.ts";
import { takeUser } from "./user-header.ts";
import type { WaitQueue } from "./wait-queue.ts";

const METHOD = "POST";
const PERCENT = 100;
const NO_TARGETS: ReadonlyMap<number, string> = new Map();
const RETRY_AFTER_MS = /\r\nretry-after-ms: (\d+)/;

/** What is going on where the request would come. Pipeline is one. */
export interface Moment {
  /** Requests, and bytes of their bodies. */
  readonly inFlight: number;
  readonly bodyBytesInFlight: number;
  /** Null: nobody knows of any that wait. */
  readonly waits: WaitQueue | null;
}

const IDLE: Moment = { inFlight: 0, bodyBytesInFlight: 0, waits: null };

/** A client that is not there. */
const NOBODY: Downstream = {
  closed: false,
  blocked: false,
  address: () => new Uint8Array(0),
  reply: () => {},
  begin: () => {},
  write: () => {},
  end: () => {},
  cut: () => {},
};

/** Null: nothing is limited, or nobody knows what is used. */
export function explain(
  snapshot: Snapshot,
  limiter: Limiter | null,
  question: ExplainQuestion,
  moment = IDLE,
): Explanation {
  const key = snapshot.keyRecords.find(({ name }) => name === question.key) ?? null;
  const exchange = exchangeOf(copyOfRoutes(snapshot), question, key);
  const routed =
    classify(exchange) ?? authenticate(exchange) ?? admit(exchange, moment) ?? readBody(exchange) ?? route(exchange);
  const limiting = routed === null ? limiter : null;
  const first = asInForce(exchange, snapshot);
  const full = limiting === null ? NO_TARGETS : fullTargets(first, limiting);
  const behind = limiting === null ? null : (moment.waits?.lineFor(first) ?? null);
  const { inForce, peeked } =
    limiting === null || behind !== null
      ? { inForce: first, peeked: limiting?.peek(first) ?? UNLIMITED }
      : peekSomewhere(exchange, first, limiting);
  const queued = { exchange: inForce, peeked, behind };
  const queue = limiting === null ? null : explainQueue(queued, moment.waits);
  const verdict = limiting === null ? routed : queueVerdict(queued, limiting);
  return {
    workers: null,
    key: key === null ? null : explainKey(key),
    model: exchange.model,
    stream: exchange.stream,
    promptTokens: estimateTokens(exchange.textBytes),
    outputTokensMax: exchange.outputTokensMax,
    timeoutMs: exchange.totalMs,
    route: explainRoute(inForce),
    targets: explainTargets(inForce, full, wallMs(nowMs())),
    limits: peeked.limits.map(explainLimit),
    queue,
    refusal: verdict === null ? null : refusalOf(routed === null ? inForce : exchange, verdict, queue?.waitMs ?? 0),
  };
}

/** As admitSomewhere(): the target that takes it, or the one whose refusal is over first. `first`: as it stands. */
function peekSomewhere(exchange: Exchange, first: Exchange, limiter: Limiter): { inForce: Exchange; peeked: Peeked } {
  let peeked = limiter.peek(first);
  let [soonest, forMs] = [{ inForce: first, peeked }, limiter.refusedForMs];
  while (peeked.verdict !== null && limiter.refusedTarget && chooseAnother(exchange)) {
    const inForce = asInForce(exchange, first.snapshot);
    peeked = limiter.peek(inForce);
    if (peeked.verdict !== null && limiter.refusedForMs >= forMs) continue;
    [soonest, forMs] = [{ inForce, peeked }, limiter.refusedForMs];
  }
  return soonest;
}

/** Names of the limits of targets that do not take it, by the place of the target. */
function fullTargets(exchange: Exchange, limiter: Limiter): ReadonlyMap<number, string> {
  const full = new Map<number, string>();
  for (const choice of exchange.route === null ? [] : choicesOf(exchange.route)) {
    const asked = Object.assign(new Exchange(exchange.snapshot, NOBODY, 0, false), exchange);
    asked.move(choice, 0);
    if (limiter.peek(asked).verdict !== null && limiter.refusedTarget) full.set(choice.place, asked.refusedBy);
  }
  return full;
}

function exchangeOf(
  snapshot: Snapshot,
  { path, headers, body, address }: ExplainQuestion,
  key: KeyRecord | null,
): Exchange {
  const bytes = addressBytesOf(address);
  const exchange = new Exchange(snapshot, { ...NOBODY, address: () => bytes }, nowMs(), false);
  exchange.method = METHOD;
  exchange.methodNumber = METHODS.indexOf(METHOD);
  exchange.path = path;
  // As the edge reads them: what goes on is a string of bytes.
  exchange.lines = Buffer.from(headerLines(headersOf(headers, false))).toString("latin1");
  exchange.ownLines = headerLines(headersOf(headers, true));
  exchange.contentType = "application/json";
  // As the edge does with a key that it knows; one that nobody has is one that nobody has.
  exchange.keyNumber = key?.number ?? -1;
  exchange.keyText = key === null ? "?" : "";
  exchange.body = Buffer.from(body);
  exchange.bodyBytes = exchange.body.length;
  exchange.contentLength = exchange.bodyBytes;
  exchange.bodyMs = exchange.startedMs;
  return exchange;
}

/** Those that are for the gateway alone, or those that go on. */
function headersOf(headers: readonly string[], own: boolean): string[] {
  return headers.filter((_, index) => (headers[index - (index % 2)] ?? "").startsWith("x-sluice-") === own);
}

/** As Pipeline does between the key and the body. */
function admit(exchange: Exchange, { inFlight, bodyBytesInFlight }: Moment): Verdict {
  const { userHeader, bounds } = exchange.snapshot;
  if (userHeader !== "") takeUser(exchange);
  const refusal = takeTimeout(exchange);
  if (refusal !== null) return refusal;
  if (inFlight >= EXCHANGES_IN_FLIGHT_MAX) return ERRORS.overloaded;
  const { contentLength } = exchange;
  if (contentLength > bounds.bodyBytes) return exchange.fail(ERRORS.bodyTooLarge, String(bounds.bodyBytes));
  return bodyBytesInFlight + contentLength > bounds.bodyBytesInFlight ? ERRORS.overloaded : null;
}

/** With the snapshot and the route that limits know by their numbers. */
function asInForce(exchange: Exchange, snapshot: Snapshot): Exchange {
  const copy = new Exchange(snapshot, exchange.down, exchange.startedMs, false);
  const { route } = exchange;
  const original = route === null ? null : originalOf(snapshot, route);
  return Object.assign(copy, exchange, { snapshot, route: original === null ? null : asWanted(exchange, original) });
}

/** Of a copy of it, or of one of its arms. */
function originalOf(snapshot: Snapshot, { number, arm }: Route): Route | null {
  const route = routesOf(snapshot)[number] ?? null;
  return arm === null ? route : (route?.arms?.routes.find((one) => one.arm?.name === arm.name) ?? null);
}

function explainKey({ name, team, enabled, expiresAtMs, models }: KeyRecord): ExplainedKey {
  const state = !enabled ? "disabled" : expiresAtMs <= Date.now() ? "expired" : "enabled";
  return { name, team, state, models: models === null ? null : [...models] };
}

function explainRoute(exchange: Exchange): Explanation["route"] {
  const { route, target, snapshot } = exchange;
  if (route !== null)
    return {
      name: route.name,
      strategy: route.choices.length === 0 ? null : route.strategy,
      attempts: route.attempts,
      hedge: route.hedge === null ? null : { afterMs: route.hedge.afterMs },
      arm: route.arm === null ? null : route.arm.name,
      shadow: explainShadow(exchange, route),
      arms: explainArms(routesOf(snapshot)[route.number]?.arms ?? null),
    };
  return target === null
    ? null
    : { name: "", strategy: null, attempts: 1, hedge: null, arm: null, shadow: null, arms: [] };
}

function explainShadow({ model }: Exchange, { shadow }: Route): NonNullable<Explanation["route"]>["shadow"] {
  if (shadow === null) return null;
  const { provider, upstreamModel } = shadow.route.target;
  return { provider: provider.name, model: upstreamModel ?? model, percent: shadow.share * PERCENT };
}

function explainArms(arms: Arms | null): ExplainedArm[] {
  const all = (arms?.routes ?? []).flatMap(({ arm }) => arm ?? []);
  const shares = all.reduce((sum, { share }) => sum + share, 0);
  return all.map(({ name, share, words }) => ({
    name,
    percent: (share * PERCENT) / shares,
    closed: Atomics.load(words, ARM_AT.gate) !== 0,
  }));
}

function explainLimit({ rule, admits, amount, left, resetMs }: PeekedLimit): ExplainedLimit {
  const { name, quantity, scope, limit, burst, observes, calendar } = rule;
  const isBudget = calendar !== null;
  return {
    name,
    quantity,
    scope,
    limit,
    burst,
    per: perOf(rule),
    isBudget,
    observes,
    takes: amount,
    left,
    resetMs,
    admits,
  };
}

function perOf({ calendar, periodMs }: PeekedLimit["rule"]): string {
  if (calendar === null) return PERIODS[periodMs] ?? "";
  return calendar.per === "total" ? "total" : `${calendar.per}, ${calendar.timeZone}`;
}

function refusalOf(exchange: Exchange, row: NonNullable<Verdict>, waitMs: number): ExplainedRefusal {
  const { error } = JSON.parse(errorBody(row, exchange.detail)) as { readonly error: { readonly message: string } };
  const { status, code } = row;
  const retryAfterMs = Number(RETRY_AFTER_MS.exec(exchange.retryLines)?.[1] ?? 0);
  return { status, code, message: error.message, retryAfterMs, waitMs };
}
