/**
 * Limits: step of the pipeline, between route and forward. One decision over all limits of a request, in one call of the addon on memory
 * that all workers share; what is reserved is settled with the record. Gateway worker. The limits in force are those of the
 * newest configuration, also for requests that began under an earlier one.
 */
import { nowMs } from "../base/clock.ts";
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import type { BudgetCalendar, LimitPart, LimitQuantity, LimitRule, LimitStanding } from "../base/limit-terms.ts";
import { OUTPUT_TOKENS_EXTENDED, TOKEN_BYTES_MAX } from "../base/limits.ts";
import { routesOf, type Snapshot, type Target, type Timeouts } from "../config/snapshot.ts";
import { BYTES_PER_TOKEN, CONTENT_MOST } from "../providers/response-scan.ts";
import {
  LIMIT_ADMITTED,
  LIMIT_AT,
  LIMIT_BUSY,
  LIMIT_NEVER,
  LIMIT_REFUSED,
  LIMIT_UNPLACED,
  type LimitsMap,
  type PeekedLimit,
} from "../shm/limits.ts";
import type { RequestRecord } from "../telemetry/record.ts";
import { learnAnswers, recallAnswers, usualAnswer } from "./answer-size.ts";
import { costAtMost } from "./cost.ts";
import { canCut } from "./cut.ts";
import { outputTokensAtMost, promptTokens } from "./estimate.ts";
import type { Exchange, Verdict } from "./exchange.ts";
import { retryLines } from "./limit-headers.ts";
import { changedParts, LimitSubjects } from "./limit-subjects.ts";

const { amounts: AMOUNT } = LIMIT_AT;
const NANO_PER_DOLLAR = 1_000_000_000;
const ABSENT = -1;
/** More than any time that something takes. */
const NO_USE = Number.MAX_SAFE_INTEGER;
const WEIGHED: ReadonlySet<LimitQuantity> = new Set(["tokens", "input_tokens", "output_tokens", "cost"]);

/** A threshold of a budget was reached: what the operator is told. */
export interface BudgetNotice {
  readonly budget: string;
  readonly quantity: LimitQuantity;
  readonly limit: number;
  readonly percent: number;
  /** Whom it counts apart, but for what clients say about themselves. */
  readonly subject: Readonly<Record<string, string>>;
  /** Of the request that reached it. */
  readonly requestId: string;
}

/** Why a request is not admitted now. */
export interface Refused {
  /** The limit that has no room for it yet; null: it need not wait for anything. */
  readonly rule: LimitRule | null;
  readonly retryMs: number;
}

/** How limits stand to a request that is not made. */
export interface Peeked {
  readonly verdict: Verdict;
  readonly refused: Refused | null;
  readonly limits: readonly PeekedLimit[];
}

export const UNLIMITED: Peeked = { verdict: null, refused: null, limits: [] };

export class Limiter {
  readonly #map: LimitsMap;
  readonly #subjects: LimitSubjects;
  readonly #fields: Float64Array;
  #snapshot: Snapshot | null = null;
  #active = false;
  /** Limits depend on what may be anywhere in a body: how much text it has, what it allows, or whose it is. */
  #readsBodies = false;
  #weighsBodies = false;
  /** They may have to wait for a limit. */
  #queues = false;
  /** Answers since the last tick, and their output tokens, by the number of the route. */
  #answers: Float64Array = new Float64Array(0);
  #outputs: Float64Array = new Float64Array(0);

  /** Limits count targets or providers apart. */
  #ofTargets = false;
  /** Of the last admission: what refused it was a limit of its target, so that another one may take it. */
  refusedTarget = false;
  /** After how many milliseconds that would not have refused it; NO_USE: no waiting helps, Infinity: nobody knows. */
  refusedForMs = 0;

  /** Of a snapshot: some limit counts money. */
  #prices = false;
  readonly #onAlert: (notice: BudgetNotice) => void;

  constructor(map: LimitsMap, onAlert: (notice: BudgetNotice) => void) {
    this.#map = map;
    this.#onAlert = onAlert;
    this.#subjects = new LimitSubjects(map);
    this.#fields = map.fields;
  }

  /** The limits of this snapshot are in force from now on. */
  configure(snapshot: Snapshot): void {
    this.#learn();
    this.#snapshot = snapshot;
    this.#active = snapshot.limits.length > 0;
    this.#readsBodies = snapshot.limits.some(({ quantity, scope }) => WEIGHED.has(quantity) || scope.includes("user"));
    this.#ofTargets = snapshot.limits.some(isOfTargets);
    this.#prices = snapshot.limits.some(({ quantity }) => quantity === "cost");
    this.#weighsBodies = snapshot.limits.some(({ quantity }) => quantity === "bytes_in_flight");
    this.#queues = this.#active && snapshot.queue !== null;
    this.#map.configure(snapshot.limits, longestMs(snapshot.timeouts));
    this.#subjects.configure(snapshot);
    const routes = routesOf(snapshot);
    for (const { name, answers } of routes) this.#recall(name, answers);
    this.#answers = new Float64Array(routes.length);
    this.#outputs = new Float64Array(routes.length);
  }

  /** What workers knew before this gateway started. */
  #recall(route: string, answers: Int32Array): void {
    const tokens = this.#map.learned(route);
    if (tokens > 0) recallAnswers(answers, tokens);
  }

  /** A target may refuse what another one takes. */
  get ofTargets(): boolean {
    return this.#ofTargets;
  }

  tick(): void {
    this.#map.tick();
    this.#learn();
  }

  /** What came since the last tick, once for all workers. */
  #learn(): void {
    if (this.#snapshot === null || !this.#answers.some((count) => count > 0)) return;
    for (const { number, name, answers } of routesOf(this.#snapshot)) {
      const count = this.#answers[number] ?? 0;
      if (count === 0) continue;
      learnAnswers(answers, count, (this.#outputs[number] ?? 0) / count);
      this.#map.learn(name, usualAnswer(answers));
    }
    this.#answers.fill(0);
    this.#outputs.fill(0);
  }

  /** The whole body has to be there before admit(). */
  wantsWhole({ contentLength, route }: Exchange): boolean {
    // They may send it elsewhere.
    const ofTargets = this.#ofTargets && route !== null && route.choices.length > 0;
    return this.#readsBodies || this.#queues || ofTargets || (this.#weighsBodies && contentLength < 0);
  }

  /** Its target is another one than `from` now: what limits of targets have of it goes along. False: it does not fit there, and nothing changed. */
  move(exchange: Exchange, from: Target | null): boolean {
    const { target, model } = exchange;
    const parts = target === null ? 0 : changedParts(from, target, model);
    if (!this.#ofTargets || parts === 0) return true;
    this.#subjects.fill(exchange);
    this.#fillAmounts(exchange);
    const decision = this.#map.move(exchange.targetTicket, parts);
    if (this.#field(LIMIT_AT.alerts) > 0) this.#alert(exchange);
    if (decision !== LIMIT_ADMITTED) {
      const forMs = this.#forMs(decision, this.#map.ruleAt(this.#field(LIMIT_AT.limit)));
      if (forMs < NO_USE) noteRoom(exchange, nowMs(), forMs);
      return false;
    }
    exchange.targetTicket = this.#field(LIMIT_AT.ticket);
    const covered = this.#field(LIMIT_AT.covered);
    // With what its other attempt has, if it has one.
    const isLess = exchange.deltasAllowed === CONTENT_MOST || covered < exchange.outputReserved;
    if (isLess) this.#allow(exchange, covered);
    return true;
  }

  leave(exchange: Exchange): void {
    if (exchange.targetTicket >= 0) this.#map.settle(exchange.targetTicket, 0, 0, 0);
    exchange.targetTicket = -1;
  }

  /** Charges all limits that apply, or none. 429 when one refuses; 503 when there is no telling. */
  admit(exchange: Exchange): Verdict {
    if (!this.#active) return null;
    const decision = this.#decide(exchange);
    return decision === LIMIT_ADMITTED ? null : this.#refuse(exchange, decision);
  }

  /** The same for a request that may wait, or go elsewhere: null: it is admitted. A refusal is not counted, and is no one's answer yet. */
  attempt(exchange: Exchange): Refused | null {
    if (!this.#active) return null;
    this.#fields[LIMIT_AT.quiet] = 1;
    const decision = this.#decide(exchange);
    this.#fields[LIMIT_AT.quiet] = 0;
    return decision === LIMIT_ADMITTED ? null : this.#refused(decision);
  }

  #refused(decision: number): Refused {
    const rule = this.#map.ruleAt(this.#field(LIMIT_AT.limit));
    this.#noteRefusal(decision, rule);
    const waits = this.refusedForMs < NO_USE;
    return { rule: waits && rule !== undefined ? rule : null, retryMs: this.#field(LIMIT_AT.retryMs) };
  }

  /** Others wait for this limit, so nobody is admitted before them. */
  refuseBehind(exchange: Exchange, rule: LimitRule, retryMs: number): ErrorRow {
    exchange.standing = null;
    exchange.retryLines = retryLines(retryMs);
    exchange.refusedBy = rule.name;
    return exchange.fail(ERRORS.limitReached, ruleText(rule));
  }

  #decide(exchange: Exchange): number {
    this.#subjects.fill(exchange);
    this.#fillAmounts(exchange);
    this.#map.decide();
    const fields = this.#fields;
    exchange.standing = standingIn(fields);
    exchange.retryLines = "";
    const decision = fields[LIMIT_AT.decision] ?? ABSENT;
    if ((fields[LIMIT_AT.alerts] ?? 0) > 0) this.#alert(exchange);
    if (decision !== LIMIT_ADMITTED) return decision;
    exchange.refusedBy = "";
    exchange.limitTicket = fields[LIMIT_AT.ticket] ?? ABSENT;
    exchange.targetTicket = fields[LIMIT_AT.targetTicket] ?? ABSENT;
    this.#allow(exchange, fields[LIMIT_AT.covered] ?? ABSENT);
    if (this.#ofTargets) exchange.gate = this;
    return decision;
  }

  /** What admit() and attempt() would say, and how each limit stands that applies; changes nothing but the exchange. */
  peek(exchange: Exchange): Peeked {
    if (!this.#active) return UNLIMITED;
    this.#subjects.fill(exchange);
    this.#fillAmounts(exchange);
    const { decision, limits } = this.#map.peek();
    if (decision === LIMIT_ADMITTED) return { verdict: null, refused: null, limits };
    return { verdict: this.#refuse(exchange, decision), refused: this.#refused(decision), limits };
  }

  /** Puts what was used in the place of what was reserved, and gives permits back. Once; a second call does nothing. */
  settle(exchange: Exchange, { inputTokens, outputTokens, costNanodollars: cost }: RequestRecord): void {
    const { limitTicket, targetTicket, route, snapshot } = exchange;
    const whole = exchange.error !== ERRORS.cutByLimit;
    if (whole && outputTokens > 0 && route !== null && snapshot === this.#snapshot)
      this.#note(route.number, outputTokens);
    exchange.limitTicket = -1;
    exchange.targetTicket = -1;
    if (limitTicket < 0 && targetTicket < 0) return;
    this.#map.settle(limitTicket, inputTokens, outputTokens, cost, targetTicket);
    if (this.#field(LIMIT_AT.alerts) > 0) this.#alert(exchange);
  }

  /** So much of a stream goes on without another look at the limits. What says how much it takes at most is not cut for having long words. */
  #allow(exchange: Exchange, tokens: number): void {
    if (tokens < 0 || !exchange.stream || !canCut(exchange.endpoint)) return;
    exchange.outputReserved = tokens;
    exchange.deltasAllowed = Math.min(tokens, CONTENT_MOST);
    exchange.contentAllowed = Math.min(tokens * tokenBytes(exchange), CONTENT_MOST);
  }

  /** A stream has more in it than was reserved: whether the limits take so much, and some more at once. False: it has to end. */
  extend(exchange: Exchange, deltas: number, bytes: number): boolean {
    const needed = Math.max(deltas, Math.ceil(bytes / tokenBytes(exchange))) - exchange.outputReserved;
    const wanted = needed + OUTPUT_TOKENS_EXTENDED;
    const cost = Math.max(0, costAtMost(exchange, 0, wanted));
    const granted = this.#map.extend(exchange.limitTicket, exchange.targetTicket, needed, wanted, cost);
    if (this.#field(LIMIT_AT.alerts) > 0) this.#alert(exchange);
    this.#allow(exchange, exchange.outputReserved + granted);
    return granted > 0;
  }

  /** What an attempt used that did not bring the answer: at once, because its record may be in the store before the request ends. */
  book(exchange: Exchange, target: Target, { inputTokens, outputTokens, costNanodollars: cost }: RequestRecord): void {
    const { limitTicket } = exchange;
    if (limitTicket < 0 && !this.#ofTargets) return;
    if (this.#ofTargets) this.#subjects.fill(exchange, target);
    this.#map.book(limitTicket, inputTokens, outputTokens, cost);
    if (this.#field(LIMIT_AT.alerts) > 0) this.#alert(exchange);
  }

  /** At most once for each threshold, period and subject. */
  #alert({ key, model, requestId }: Exchange): void {
    const count = this.#field(LIMIT_AT.alerts);
    for (let i = 0; i < count; i += 1) {
      const alert = this.#map.alertAt(i);
      if (alert === null) continue;
      const { rule, percent } = alert;
      const part = (name: LimitPart, value: string | null | undefined) =>
        rule.scope.includes(name) && value ? { [name]: value } : {};
      const subject = { ...part("key", key?.name), ...part("team", key?.team), ...part("model", model) };
      this.#onAlert({ budget: rule.name, quantity: rule.quantity, limit: rule.limit, percent, subject, requestId });
    }
  }

  #note(route: number, outputTokens: number): void {
    this.#answers[route] = (this.#answers[route] ?? 0) + 1;
    this.#outputs[route] = (this.#outputs[route] ?? 0) + outputTokens;
  }

  #fillAmounts(exchange: Exchange): void {
    const fields = this.#fields;
    const input = promptTokens(exchange);
    const output = outputTokensAtMost(exchange);
    const assumed = exchange.outputTokensMax < 0 ? output : 0;
    fields[LIMIT_AT.assumed] = assumed;
    fields[LIMIT_AT.bills] = exchange.method === "POST" ? 1 : 0;
    if (this.#prices) this.#fillCost(exchange, input, output, assumed);
    fields[AMOUNT.requests] = 1;
    fields[AMOUNT.input_tokens] = input;
    fields[AMOUNT.output_tokens] = output;
    fields[AMOUNT.tokens] = input + output;
    fields[AMOUNT.concurrency] = 1;
    fields[AMOUNT.bytes_in_flight] = Math.max(exchange.bodyBytes, exchange.contentLength);
  }

  #fillCost(exchange: Exchange, input: number, output: number, assumed: number): void {
    const cost = costAtMost(exchange, input, output);
    this.#fields[AMOUNT.cost] = cost;
    this.#fields[LIMIT_AT.assumedCost] = assumed === 0 || cost < 0 ? 0 : cost - costAtMost(exchange, input, 0);
  }

  #refuse(exchange: Exchange, decision: number): ErrorRow {
    const rule = this.#map.ruleAt(this.#field(LIMIT_AT.limit));
    this.#noteRefusal(decision, rule);
    if (decision === LIMIT_BUSY || decision === LIMIT_UNPLACED || rule === undefined) return ERRORS.limitsUnavailable;
    exchange.refusedBy = rule.name;
    if (rule.calendar !== null) return exchange.fail(ERRORS.budgetUsedUp, budgetText(rule, rule.calendar));
    if (decision === LIMIT_NEVER) return exchange.fail(ERRORS.limitTooSmall, ruleText(rule));
    if (decision === LIMIT_REFUSED) exchange.retryLines = retryLines(this.#field(LIMIT_AT.retryMs));
    return exchange.fail(ERRORS.limitReached, ruleText(rule));
  }

  #noteRefusal(decision: number, rule: LimitRule | undefined): void {
    this.refusedTarget = rule !== undefined && isOfTargets(rule);
    this.refusedForMs = this.#forMs(decision, rule);
  }

  #forMs(decision: number, rule: LimitRule | undefined): number {
    if (decision === LIMIT_BUSY || decision === LIMIT_UNPLACED || rule === undefined) return Number.POSITIVE_INFINITY;
    return decision === LIMIT_REFUSED && rule.calendar === null ? this.#field(LIMIT_AT.retryMs) : NO_USE;
  }

  #field(index: number): number {
    return this.#fields[index] ?? ABSENT;
  }
}

/** What the last decision left there; null: no limit applied that says it. */
function standingIn(fields: Float64Array): LimitStanding | null {
  const { requests, tokens } = LIMIT_AT;
  const requestsLimit = wholeAt(fields, requests);
  const tokensLimit = wholeAt(fields, tokens);
  if (requestsLimit < 0 && tokensLimit < 0) return null;
  return {
    requestsLimit,
    requestsLeft: wholeAt(fields, requests + 1),
    requestsResetMs: wholeAt(fields, requests + 2),
    tokensLimit,
    tokensLeft: wholeAt(fields, tokens + 1),
    tokensResetMs: wholeAt(fields, tokens + 2),
  };
}

/** A whole number, which needs no object of its own where it has 31 bits. */
function wholeAt(fields: Float64Array, index: number): number {
  const value = fields[index] ?? ABSENT;
  const small = value | 0;
  return small === value ? small : value;
}

/** A target that it could not go to has room for it after `forMs`. */
function noteRoom(exchange: Exchange, atMs: number, forMs: number): void {
  const { roomAtMs } = exchange;
  exchange.roomAtMs = roomAtMs > atMs ? Math.min(roomAtMs, atMs + forMs) : atMs + forMs;
}

function isOfTargets({ scope }: LimitRule): boolean {
  return scope.includes("target") || scope.includes("provider");
}

function tokenBytes({ outputTokensMax }: Exchange): number {
  return outputTokensMax < 0 ? BYTES_PER_TOKEN : TOKEN_BYTES_MAX;
}

/** Beyond it nothing of a request can be left, so its permits come back whatever became of it. */
function longestMs({ queueMs, connectMs, firstByteMs, totalMs, stallMs, drainMs }: Timeouts): number {
  return queueMs + connectMs + firstByteMs + totalMs + stallMs + drainMs;
}

export const PERIODS: Readonly<Record<number, string>> = {
  1000: "second",
  60000: "minute",
  3600000: "hour",
  86400000: "day",
};

/** "12.5 USD", "1000 tokens" */
function amountText({ quantity, limit }: LimitRule): string {
  return quantity === "cost" ? `${limit / NANO_PER_DOLLAR} USD` : `${limit} ${quantity.replaceAll("_", " ")}`;
}

/** "50 USD per month, Europe/Berlin (budget 'key')" */
function budgetText(rule: LimitRule, { per, timeZone }: BudgetCalendar): string {
  const period = per === "total" ? "in total" : `per ${per}, ${timeZone}`;
  return `${amountText(rule)} ${period} (budget '${rule.name}')`;
}

/** "100 requests per minute (limit 'key')" */
function ruleText({ name, quantity, limit, periodMs }: LimitRule): string {
  const what = quantity.replaceAll("_", " ");
  const period = PERIODS[periodMs];
  const much = period === undefined ? `${what} of ${limit}` : `${limit} ${what} per ${period}`;
  return `${much} (limit '${name}')`;
}
