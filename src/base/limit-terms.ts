/**
 * The words of limits, in the order of their numbers in the addon (native/limits-program.h): what they count, what they count
 * apart, and how. Any process; data only.
 */

export const LIMIT_QUANTITIES = [
  "requests",
  "input_tokens",
  "output_tokens",
  "tokens",
  "concurrency",
  "bytes_in_flight",
  "cost",
] as const;
export type LimitQuantity = (typeof LIMIT_QUANTITIES)[number];

export const LIMIT_PARTS = ["key", "team", "user", "address", "model", "route", "target", "provider"] as const;
export type LimitPart = (typeof LIMIT_PARTS)[number];

/** rate: GCRA, with a burst. window: a count that begins anew with each period. held: what is in flight. budget: a count by the calendar. */
export const LIMIT_KINDS = ["none", "rate", "window", "held", "budget"] as const;
export type LimitKind = (typeof LIMIT_KINDS)[number];

export const BUDGET_PERIODS = ["day", "week", "month", "total"] as const;
export type BudgetPeriod = (typeof BUDGET_PERIODS)[number];

/** When a budget begins anew. */
export interface BudgetCalendar {
  readonly per: BudgetPeriod;
  /** IANA name. */
  readonly timeZone: string;
}

/** Where a request stands: of requests and of tokens, the limit that is nearest to its end; a limit below 0: there is none. */
export interface LimitStanding {
  readonly requestsLimit: number;
  readonly requestsLeft: number;
  /** Until it is full again, whole milliseconds. */
  readonly requestsResetMs: number;
  readonly tokensLimit: number;
  readonly tokensLeft: number;
  readonly tokensResetMs: number;
}

/** One quantity of one rule of `rate_limits`, or a budget, resolved. */
export interface LimitRule {
  /** Of the rule; with the quantity it is unique, and the same after a reload. */
  readonly name: string;
  readonly quantity: LimitQuantity;
  readonly kind: LimitKind;
  /** What is counted apart; empty: everything together. */
  readonly scope: readonly LimitPart[];
  /** Names of the only keys, or models, that it is for; null: all. */
  readonly keys: readonly string[] | null;
  readonly models: readonly string[] | null;
  /** Units per period, or held at a time. A cost is in nano-dollars. */
  readonly limit: number;
  /** Units that a rate lets through at once. */
  readonly burst: number;
  /** 0: held, or a budget. */
  readonly periodMs: number;
  /** Counts and shows, and refuses nothing. */
  readonly observes: boolean;
  /** What happens to requests whose state finds no room. */
  readonly admitsUnplaced: boolean;
  /** Of a budget; null: it is none. */
  readonly calendar: BudgetCalendar | null;
  /** Percent of a budget at which the operator is told. */
  readonly alertAt: readonly number[];
}
