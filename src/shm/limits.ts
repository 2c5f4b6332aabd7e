/**
 * The map of limits (memory map: native/limits-map.h), as one thread of a process sees it: the supervisor makes it and gives back what
 * dead workers held, workers decide on it. The work is done in the addon; one thread has one map open at a time.
 */
import { renameSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { assert } from "../base/assert.ts";
import { periodAt } from "../base/calendar.ts";
import { CodedError } from "../base/errors.ts";
import {
  type BudgetCalendar,
  LIMIT_KINDS,
  LIMIT_PARTS,
  LIMIT_QUANTITIES,
  type LimitPart,
  type LimitQuantity,
  type LimitRule,
} from "../base/limit-terms.ts";
import { BUDGET_ALERTS_MAX, LIMIT_RULES_MAX } from "../base/limits.ts";
import { native } from "../native/native.ts";

/** Decisions of native/limits-program.h. */
export const LIMIT_ADMITTED = 0;
export const LIMIT_REFUSED = 1;
/** It asks for more than the limit ever has. */
export const LIMIT_NEVER = 2;
/** The table is full. */
export const LIMIT_UNPLACED = 3;
/** The lock could not be had. */
export const LIMIT_BUSY = 4;

const OPENED_FOREIGN = 2;

/** Slots of `limitFields`. */
const AMOUNTS = LIMIT_PARTS.length;
const ASSUMED = AMOUNTS + LIMIT_QUANTITIES.length;
const ASSUMED_COST = ASSUMED + 1;
const BILLS = ASSUMED + 2;
const DECISION = ASSUMED + 3;
const TICKET = DECISION + 1;
const LIMIT = TICKET + 1;
const RETRY_MS = TICKET + 2;
const REQUESTS = TICKET + 3;
const TOKENS = TICKET + 6;
const ALERTS = TICKET + 9;
const QUIET = ALERTS + 1;
const COVERED = ALERTS + 2;

const INPUT_TOKENS = AMOUNTS + LIMIT_QUANTITIES.indexOf("input_tokens");
const OUTPUT_TOKENS = AMOUNTS + LIMIT_QUANTITIES.indexOf("output_tokens");
const COST = AMOUNTS + LIMIT_QUANTITIES.indexOf("cost");

export const LIMIT_AT = {
  /** Where the number of a request's subject goes, for each part; -1: it has none. */
  parts: Object.fromEntries(LIMIT_PARTS.map((part, i) => [part, i])) as Readonly<Record<LimitPart, number>>,
  partsEnd: AMOUNTS,
  /** Where what it takes of each quantity goes. */
  amounts: Object.fromEntries(LIMIT_QUANTITIES.map((quantity, i) => [quantity, AMOUNTS + i])) as Readonly<
    Record<LimitQuantity, number>
  >,
  /** How many of its output tokens are only assumed. */
  assumed: ASSUMED,
  /** What those cost. */
  assumedCost: ASSUMED_COST,
  /** 0: no provider is paid for it, so no budget counts it. */
  bills: BILLS,
  /** What comes back: LIMIT_ADMITTED or why not. */
  decision: DECISION,
  /** To settle it with; -1: nothing to settle. */
  ticket: TICKET,
  /** Which rule refused. */
  limit: LIMIT,
  retryMs: RETRY_MS,
  /** Of the nearest limit: how many (-1: there is none), how many are left, and whole milliseconds until all are. */
  requests: REQUESTS,
  tokens: TOKENS,
  /** How many thresholds of budgets were reached: alertAt(). */
  alerts: ALERTS,
  /** 1: a refusal is not counted, because the request will be asked again. */
  quiet: QUIET,
  /** Output tokens that what is reserved covers; -1: no limit that refuses counts them. */
  covered: COVERED,
  /** As `ticket`, of what limits have that count targets apart. */
  targetTicket: COVERED + 1,
} as const;

const FIGURES = 16;
/** Numbers of a limit in what limitsPeek() fills. */
const PEEKED = 5;
/** Begin and end of a budget's period, and the end of the next one. */
const BOUNDS = 3;
const NS_PER_MS = 1e6;
const MS_PER_S = 1_000;
const PERCENT = 100;

/** What was refused, would have been, or found no room, since the map was made. */
export interface LimitTally {
  readonly rule: LimitRule;
  readonly rejected: number;
  readonly observed: number;
  readonly unplaced: number;
  /** Of a budget: how often a threshold was reached. */
  readonly alerts: number;
}

/** What is used of a budget, in its period, by one whom it counts apart. */
export interface Spent {
  /** With what is reserved. */
  readonly used: number;
  readonly settled: number;
}

export interface BudgetAlert {
  readonly rule: LimitRule;
  readonly percent: number;
}

/** One limit as a request would meet it. */
export interface PeekedLimit {
  readonly rule: LimitRule;
  readonly admits: boolean;
  /** What the request takes of it, and what there is before it does. */
  readonly amount: number;
  readonly left: number;
  /** Until all of it is there again: a window or a period ends, a rate is full; 0: it is there, or nobody knows. */
  readonly resetMs: number;
}

/** Of the map, since it was made. */
export interface LimitsState {
  /** How often the lock was left by a process that died. */
  readonly recoveries: number;
  /** Idle counts that gave way to others. */
  readonly reclaimed: number;
  readonly unplaced: number;
  /** Leases that came back by their deadlines. */
  readonly expired: number;
}

export class LimitsMap {
  readonly fields = native.limitFields;
  readonly extend = native.limitsExtend;
  /** What a worker learned under a name is there for those after it; -1: nothing is. */
  readonly learned = native.limitsLearned;
  readonly learn = native.limitsLearn;
  readonly #counts = new Float64Array(4);
  readonly #spent = new Float64Array(2);
  readonly #state = new Float64Array(4);
  readonly #numbers = new Map<string, number>();
  #rules: readonly LimitRule[] = [];
  /** The subjects that each rule is only for. */
  /** When the first period of any budget ends. */
  #periodsEndMs = Number.POSITIVE_INFINITY;
  #wanted: readonly { readonly key: ReadonlySet<string>; readonly route: ReadonlySet<string> }[] = [];

  /** Decides about the request of `fields`, where the answer is then. */
  readonly decide = native.limitsAdmit;

  /** Puts what was used in the place of what was reserved with these tickets; each once. */
  settle(ticket: number, inputTokens: number, outputTokens: number, costNanodollars: number, targetTicket = -1): void {
    this.#fillUsed(ticket, inputTokens, outputTokens, costNanodollars);
    this.fields[LIMIT_AT.targetTicket] = targetTicket;
    native.limitsSettle();
  }

  /** The request of `fields` goes to another target, which differs in these parts (bits): the decision; the ticket afterwards is in `fields`. */
  move(ticket: number, parts: number): number {
    this.fields[TICKET] = ticket;
    return native.limitsMove(parts);
  }

  /** Used beside what was reserved with `ticket`, before that is settled, by an attempt at the target of `fields`. */
  book(ticket: number, inputTokens: number, outputTokens: number, costNanodollars: number): void {
    this.#fillUsed(ticket, inputTokens, outputTokens, costNanodollars);
    native.limitsBook();
  }

  #fillUsed(ticket: number, inputTokens: number, outputTokens: number, costNanodollars: number): void {
    const { fields } = this;
    fields[TICKET] = ticket;
    fields[INPUT_TOKENS] = inputTokens;
    fields[OUTPUT_TOKENS] = outputTokens;
    fields[COST] = costNanodollars;
  }

  /** As admit(), and changes nothing: the decision, and what each limit says that applies. */
  peek(): { readonly decision: number; readonly limits: readonly PeekedLimit[] } {
    const found = new Float64Array(LIMIT_RULES_MAX * PEEKED + 1);
    const decision = native.limitsPeek(found);
    const limits: PeekedLimit[] = [];
    for (let at = 0; (found[at] ?? -1) >= 0; at += PEEKED) {
      const [index = -1, admits, amount = 0, left = 0, resetMs = 0] = found.subarray(at, at + PEEKED);
      const rule = this.#rules[index];
      if (rule !== undefined) limits.push({ rule, admits: admits === 1, amount, left, resetMs });
    }
    return { decision, limits };
  }

  /** These rules are in force from now on. `leaseMs`: the longest that a request can take. */
  configure(rules: readonly LimitRule[], leaseMs: number): void {
    this.#rules = rules;
    this.#wanted = rules.map(({ keys, models }) => ({ key: setOf(keys), route: setOf(models) }));
    const figures = Float64Array.from(rules.flatMap(figuresOf));
    assert(figures.length === rules.length * FIGURES, "each limit has its figures");
    native.limitsConfigure(rules.map(identityOf), figures, leaseMs);
    this.#setPeriods();
  }

  /** Every second or so: gives leases back that are over, follows the wall clock, and has budgets begin anew. */
  tick(): void {
    native.limitsTick();
    if (native.limitsNow() >= this.#periodsEndMs) this.#setPeriods();
  }

  #setPeriods(): void {
    const nowMs = native.limitsNow();
    const bounds = this.#rules.map(({ calendar }) => boundsOf(calendar, nowMs));
    const ends = bounds.map(([, endS = -1]) => (endS < 0 ? Number.POSITIVE_INFINITY : endS * MS_PER_S));
    this.#periodsEndMs = Math.min(...ends);
    native.limitsPeriods(Float64Array.from(bounds.flat()));
  }

  /** Of the admission or settlement before, from 0 to what the field `alerts` says. */
  alertAt(number: number): BudgetAlert | null {
    const alert = native.limitsAlert(number);
    const rule = this.#rules[Math.floor(alert / BUDGET_ALERTS_MAX)];
    const percent = rule?.alertAt[alert % BUDGET_ALERTS_MAX];
    return rule === undefined || percent === undefined ? null : { rule, percent };
  }

  /** What is used of a budget; null: it counts others apart than these. `names`: by part. */
  spent(rule: LimitRule, names: ReadonlyMap<LimitPart, string>): Spent | null {
    this.#fillSubjects(names);
    if (!native.limitsSpent(this.#rules.indexOf(rule), this.#spent)) return null;
    const [used = 0, settled = 0] = this.#spent;
    return { used, settled };
  }

  /** What is used of a budget is at least this much. */
  raise(rule: LimitRule, names: ReadonlyMap<LimitPart, string>, least: number): void {
    this.#fillSubjects(names);
    native.limitsRaise(this.#rules.indexOf(rule), least);
  }

  #fillSubjects(names: ReadonlyMap<LimitPart, string>): void {
    this.fields.fill(-1, 0, LIMIT_AT.partsEnd);
    for (const [part, name] of names) {
      const known = this.numberOf(part, name);
      this.fields[LIMIT_AT.parts[part]] = known < 0 ? this.subject(part, name) : known;
    }
  }

  /** Milliseconds since 1970, by the clock of limits. */
  nowMs(): number {
    return native.limitsNow();
  }

  /** The number of a subject, the same as long as the process lives. After configure(), once for each that a rule may want. */
  subject(part: LimitPart, name: string): number {
    let low = 0;
    let high = 0;
    for (const [index, wanted] of this.#wanted.entries()) {
      if ((part !== "key" && part !== "route") || !wanted[part].has(name)) continue;
      if (index < 32) low |= 1 << index;
      else high |= 1 << (index - 32);
    }
    const number = native.limitsSubject(LIMIT_PARTS.indexOf(part), name, low >>> 0, high >>> 0);
    this.#numbers.set(`${part} ${name}`, number);
    return number;
  }

  /** Of a subject that subject() knows; -1: it does not. */
  numberOf(part: LimitPart, name: string): number {
    return this.#numbers.get(`${part} ${name}`) ?? -1;
  }

  /** A subject of the next request that has no number. */
  text(part: LimitPart, text: string): void {
    native.limitsText(LIMIT_PARTS.indexOf(part), text);
  }

  ruleAt(index: number): LimitRule | undefined {
    return this.#rules[index];
  }

  /** The worker `pid` of `slot` is dead; null: whoever that was. */
  leaveSlot(slot: number, pid: number | null): void {
    native.limitsLeaveSlot(slot, pid ?? 0);
  }

  state(): LimitsState {
    native.limitsState(this.#state);
    const [recoveries = 0, reclaimed = 0, unplaced = 0, expired = 0] = this.#state;
    return { recoveries, reclaimed, unplaced, expired };
  }

  tallies(): LimitTally[] {
    return this.#rules.map((rule, index) => {
      native.limitsTally(index, this.#counts);
      const [rejected = 0, observed = 0, unplaced = 0, alerts = 0] = this.#counts;
      return { rule, rejected, observed, unplaced, alerts };
    });
  }
}

function setOf(names: readonly string[] | null): ReadonlySet<string> {
  return new Set(names ?? []);
}

/** What its state is found by: all that would give the state another meaning. */
function identityOf({ name, quantity, kind, scope, periodMs, calendar }: LimitRule): string {
  const when = calendar === null ? (kind === "window" ? [periodMs] : []) : [calendar.per, calendar.timeZone];
  return [name, quantity, kind, ...when, ...[...scope].sort()].join("\n");
}

/** Of the period that runs and the next one, seconds since 1970; -1: never. */
function boundsOf(calendar: BudgetCalendar | null, nowMs: number): [startS: number, endS: number, nextEndS: number] {
  const period = calendar === null ? null : periodAt(calendar, nowMs);
  if (calendar === null || period === null) return [0, -1, -1];
  const next = periodAt(calendar, period.endS * MS_PER_S);
  return [period.startS, period.endS, next?.endS ?? -1];
}

function figuresOf(rule: LimitRule): number[] {
  const bits = (parts: readonly LimitPart[]) => parts.reduce((sum, part) => sum | (1 << LIMIT_PARTS.indexOf(part)), 0);
  const wants = [...(rule.keys === null ? [] : ["key" as const]), ...(rule.models === null ? [] : ["route" as const])];
  return [
    LIMIT_QUANTITIES.indexOf(rule.quantity),
    LIMIT_KINDS.indexOf(rule.kind),
    rule.observes ? 1 : 0,
    rule.admitsUnplaced ? 1 : 0,
    bits(rule.scope),
    bits(wants),
    rule.limit,
    rule.burst,
    rule.periodMs * NS_PER_MS,
    ...Array.from({ length: BUDGET_ALERTS_MAX }, (_, i) => Math.floor((rule.limit * (rule.alertAt[i] ?? 0)) / PERCENT)),
    ...Array<number>(BOUNDS).fill(-1),
  ];
}

function limitsPath(dataDir: string): string {
  return join(dataDir, "limits.map");
}

/** Makes the map, or takes over what is there; one of another layout is put aside. Supervisor, at start. */
export function prepareLimits(dataDir: string): LimitsMap {
  const path = limitsPath(dataDir);
  try {
    if (native.limitsPrepare(path) === OPENED_FOREIGN) {
      // Workers of the program before keep what they have mapped.
      renameSync(path, `${path}.old`);
      native.limitsPrepare(path);
    }
    return new LimitsMap();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CodedError(
      "data_dir_unusable",
      `The data directory (setting 'data_dir') cannot be used: ${reason}`,
      cause,
    );
  }
}

/** The map that the supervisor made, for the worker that holds `slot`: what an earlier holder held comes back. */
export function attachLimits(dataDir: string, slot: number): LimitsMap {
  const path = limitsPath(dataDir);
  if (native.limitsAttach(path) === OPENED_FOREIGN)
    throw new CodedError("limits_invalid", `${path} was not made by this version's supervisor`);
  native.limitsTakeSlot(slot, process.pid);
  return new LimitsMap();
}
