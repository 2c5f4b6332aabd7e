/**
 * Limits: step of the pipeline, between route and forward. One decision over all limits of a request, in one call of the addon on memory
 * that all workers share; what is reserved is settled with the record. Gateway worker. The limits in force are those of the
 * newest configuration, also for requests that began under an earlier one.
 */
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import type { LimitQuantity, LimitRule } from "../base/limit-terms.ts";
import { OUTPUT_TOKENS_ASSUMED } from "../base/limits.ts";
import type { KeyRecord, Route, Snapshot, Target, Timeouts } from "../config/snapshot.ts";
import { estimateTokens } from "../providers/response-scan.ts";
import {
  LIMIT_ADMITTED,
  LIMIT_AT,
  LIMIT_BUSY,
  LIMIT_NEVER,
  LIMIT_REFUSED,
  LIMIT_UNPLACED,
  type LimitsMap,
} from "../shm/limits.ts";
import { ENDPOINT_EMBEDDINGS, ENDPOINT_MODERATIONS, takesModel } from "./endpoint.ts";
import type { Exchange, Verdict } from "./exchange.ts";
import { retryLines, standingLines } from "./limit-headers.ts";

const { parts: PART, amounts: AMOUNT } = LIMIT_AT;
const ABSENT = -1;
const TOKENS: ReadonlySet<LimitQuantity> = new Set(["tokens", "input_tokens", "output_tokens"]);
/** How fast the learned size of answers follows: a sixteenth of the difference. */
const LEARNING_SHARE = 16;

export class Limiter {
  readonly #map: LimitsMap;
  readonly #fields: Float64Array;
  #snapshot: Snapshot | null = null;
  #active = false;
  /** Limits depend on what may be anywhere in the body: how much text it has, what it allows, or whose it is. */
  wantsWholeBody = false;
  /** Numbers of subjects by those of keys, routes and targets in the snapshot. */
  #keys: Int32Array = new Int32Array(0);
  #models: Int32Array = new Int32Array(0);
  #routes: Int32Array = new Int32Array(0);
  #targets: Int32Array = new Int32Array(0);
  #providers: Int32Array = new Int32Array(0);
  /** Output tokens of an answer, learned, by the number of the route. */
  #outputs: Float64Array = new Float64Array(0);
  #learned = new Map<string, number>();

  constructor(map: LimitsMap) {
    this.#map = map;
    this.#fields = map.fields;
  }

  /** The limits of this snapshot are in force from now on. */
  configure(snapshot: Snapshot): void {
    this.#remember();
    this.#snapshot = snapshot;
    this.#active = snapshot.limits.length > 0;
    this.wantsWholeBody = snapshot.limits.some(({ quantity, scope }) => TOKENS.has(quantity) || scope.includes("user"));
    this.#map.configure(snapshot.limits, longestMs(snapshot.timeouts));
    this.#keys = Int32Array.from(snapshot.keyRecords, ({ name }) => this.#map.subject("key", name));
    const routes = routesOf(snapshot);
    const targets = targetsOf(snapshot, routes);
    this.#routes = Int32Array.from(routes, ({ alias }) => this.#map.subject("route", alias));
    this.#models = Int32Array.from(routes, ({ alias }) => (alias === "*" ? ABSENT : this.#map.subject("model", alias)));
    this.#targets = Int32Array.from(targets, (target) =>
      namesModel(target) ? this.#map.subject("target", targetName(target, "")) : ABSENT,
    );
    this.#providers = Int32Array.from(targets, ({ provider }) => this.#map.subject("provider", provider.name));
    this.#outputs = Float64Array.from(routes, ({ alias }) => this.#learned.get(alias) ?? OUTPUT_TOKENS_ASSUMED);
  }

  #remember(): void {
    if (this.#snapshot === null) return;
    for (const { alias, number } of routesOf(this.#snapshot)) this.#learned.set(alias, this.#outputs[number] ?? 0);
  }

  tick(): void {
    this.#map.tick();
  }

  /** Charges all limits that apply, or none. 429 when one refuses; 503 when there is no telling. */
  admit(exchange: Exchange): Verdict {
    if (!this.#active) return null;
    this.#fillSubjects(exchange);
    this.#fillAmounts(exchange);
    const decision = this.#map.admit();
    exchange.limitLines = this.#standing();
    if (decision === LIMIT_ADMITTED) {
      exchange.limitTicket = this.#field(LIMIT_AT.ticket);
      return null;
    }
    return this.#refuse(exchange, decision);
  }

  /** Puts what was used in the place of what was reserved, and gives permits back. Once; a second call does nothing. */
  settle(exchange: Exchange, inputTokens: number, outputTokens: number): void {
    const { limitTicket, route, snapshot } = exchange;
    if (outputTokens > 0 && route !== null && snapshot === this.#snapshot) this.#learn(route.number, outputTokens);
    if (limitTicket < 0) return;
    exchange.limitTicket = -1;
    this.#map.settle(limitTicket, inputTokens, outputTokens);
  }

  #learn(route: number, outputTokens: number): void {
    const before = this.#outputs[route] ?? outputTokens;
    this.#outputs[route] = before + (outputTokens - before) / LEARNING_SHARE;
  }

  #fillSubjects(exchange: Exchange): void {
    const { key, route, target, snapshot, model } = exchange;
    const fields = this.#fields;
    const current = snapshot === this.#snapshot;
    fields[PART.key] = key === null ? ABSENT : current ? at(this.#keys, key) : this.#map.numberOf("key", key.name);
    fields[PART.team] = ABSENT;
    fields[PART.user] = ABSENT;
    fields[PART.address] = ABSENT;
    fields[PART.route] =
      route === null ? ABSENT : current ? at(this.#routes, route) : this.#map.numberOf("route", route.alias);
    fields[PART.model] = route === null || !current ? ABSENT : at(this.#models, route);
    fields[PART.target] = target === null || !current ? ABSENT : at(this.#targets, target);
    fields[PART.provider] =
      target === null
        ? ABSENT
        : current
          ? at(this.#providers, target)
          : this.#map.numberOf("provider", target.provider.name);
    // Names that clients choose have no numbers.
    if (model !== "" && fields[PART.model] === ABSENT) this.#map.text("model", model);
    if (target !== null && fields[PART.target] === ABSENT) this.#map.text("target", targetName(target, model));
  }

  #fillAmounts(exchange: Exchange): void {
    const fields = this.#fields;
    const billed = takesModel(exchange.endpoint);
    const input = billed ? estimateTokens(exchange.textBytes) : 0;
    const output = billed ? this.#outputOf(exchange) : 0;
    fields[LIMIT_AT.assumed] = exchange.outputTokensMax < 0 ? output : 0;
    fields[AMOUNT.requests] = 1;
    fields[AMOUNT.input_tokens] = input;
    fields[AMOUNT.output_tokens] = output;
    fields[AMOUNT.tokens] = input + output;
    fields[AMOUNT.concurrency] = 1;
    fields[AMOUNT.bytes_in_flight] = Math.max(exchange.bodyBytes, exchange.contentLength);
  }

  /** What the request allows at most, or what answers of its route usually have. */
  #outputOf({ endpoint, outputTokensMax, route, snapshot }: Exchange): number {
    if (endpoint === ENDPOINT_EMBEDDINGS || endpoint === ENDPOINT_MODERATIONS) return 0;
    if (outputTokensMax >= 0) return outputTokensMax;
    const learned = route !== null && snapshot === this.#snapshot ? this.#outputs[route.number] : undefined;
    return Math.ceil(learned ?? OUTPUT_TOKENS_ASSUMED);
  }

  #standing(): string {
    const { requests, tokens } = LIMIT_AT;
    const ofRequests = this.#field(requests) < 0 ? "" : this.#lines("requests", requests);
    return this.#field(tokens) < 0 ? ofRequests : ofRequests + this.#lines("tokens", tokens);
  }

  #lines(what: "requests" | "tokens", from: number): string {
    return standingLines(what, this.#field(from), this.#field(from + 1), this.#field(from + 2));
  }

  #refuse(exchange: Exchange, decision: number): ErrorRow {
    const rule = this.#map.ruleAt(this.#field(LIMIT_AT.limit));
    if (decision === LIMIT_BUSY || decision === LIMIT_UNPLACED || rule === undefined) return ERRORS.limitsUnavailable;
    if (decision === LIMIT_NEVER) return exchange.fail(ERRORS.limitTooSmall, ruleText(rule));
    if (decision === LIMIT_REFUSED) exchange.limitLines += retryLines(this.#field(LIMIT_AT.retryMs));
    return exchange.fail(ERRORS.limitReached, ruleText(rule));
  }

  #field(index: number): number {
    return this.#fields[index] ?? ABSENT;
  }
}

function at(numbers: Int32Array, { number }: KeyRecord | Route | Target): number {
  return numbers[number] ?? ABSENT;
}

/** By their numbers. */
function routesOf({ routes, anyModel }: Snapshot): Route[] {
  const all = [...routes.values(), ...(anyModel === null ? [] : [anyModel])];
  return all.sort((a, b) => a.number - b.number);
}

function targetsOf({ passthrough }: Snapshot, routes: readonly Route[]): Target[] {
  const all = [...routes.map(({ target }) => target), ...(passthrough === null ? [] : [passthrough])];
  return all.sort((a, b) => a.number - b.number);
}

function namesModel({ upstreamModel }: Target): boolean {
  return upstreamModel !== null;
}

function targetName({ provider, upstreamModel }: Target, model: string): string {
  return `${provider.name}/${upstreamModel ?? model}`;
}

/** Beyond it nothing of a request can be left, so its permits come back whatever became of it. */
function longestMs({ queueMs, connectMs, firstByteMs, totalMs, stallMs, drainMs }: Timeouts): number {
  return queueMs + connectMs + firstByteMs + totalMs + stallMs + drainMs;
}

const PERIODS: Readonly<Record<number, string>> = {
  1000: "second",
  60000: "minute",
  3600000: "hour",
  86400000: "day",
};

/** "100 requests per minute (limit 'key')" */
function ruleText({ name, quantity, limit, periodMs }: LimitRule): string {
  const what = quantity.replaceAll("_", " ");
  const period = PERIODS[periodMs];
  const much = period === undefined ? `${what} of ${limit}` : `${limit} ${what} per ${period}`;
  return `${much} (limit '${name}')`;
}
