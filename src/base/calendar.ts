/**
 * Days, weeks and months as people in a time zone count them, which have 23 or 25 hours where clocks are changed. Any process; pure,
 * but for the time zones that the runtime knows (Intl).
 */
import type { BudgetCalendar } from "./limit-terms.ts";

const S_PER_DAY = 86_400;
const MS_PER_S = 1_000;
/** Monday, of Date's days, which begin with Sunday. */
const FIRST_DAY = 1;
const DAYS_PER_WEEK = 7;
/** Zones are at most 14 hours from UTC, and skip at most a day. */
const SEARCH_S = 2 * S_PER_DAY;

/** Seconds since 1970. */
export interface Period {
  readonly startS: number;
  readonly endS: number;
}

/** The name of a zone that the runtime knows. */
export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** The period that the instant is in; null: it never ends. */
export function periodAt({ per, timeZone }: BudgetCalendar, nowMs: number): Period | null {
  if (per === "total") return null;
  const zone = new Zone(timeZone);
  const today = zone.dayAt(Math.floor(nowMs / MS_PER_S));
  const date = new Date(today * S_PER_DAY * MS_PER_S);
  if (per === "day") return zone.period(today, today + 1);
  if (per === "week") {
    const monday = today - ((date.getUTCDay() - FIRST_DAY + DAYS_PER_WEEK) % DAYS_PER_WEEK);
    return zone.period(monday, monday + DAYS_PER_WEEK);
  }
  const first = (month: number) => Date.UTC(date.getUTCFullYear(), month, 1) / (S_PER_DAY * MS_PER_S);
  return zone.period(first(date.getUTCMonth()), first(date.getUTCMonth() + 1));
}

/** Days have numbers: of their dates, as days since 1970. */
class Zone {
  readonly #format: Intl.DateTimeFormat;

  constructor(timeZone: string) {
    const digits = { year: "numeric", month: "numeric", day: "numeric" } as const;
    this.#format = new Intl.DateTimeFormat("en", { timeZone, calendar: "gregory", numberingSystem: "latn", ...digits });
  }

  dayAt(seconds: number): number {
    const parts = this.#format.formatToParts(seconds * MS_PER_S);
    const part = (type: "year" | "month" | "day") => Number(parts.find((one) => one.type === type)?.value);
    return Date.UTC(part("year"), part("month") - 1, part("day")) / (S_PER_DAY * MS_PER_S);
  }

  period(first: number, next: number): Period {
    return { startS: this.#startOf(first), endS: this.#startOf(next) };
  }

  /** The first second of a day, also where clocks go from 23:59:59 to 01:00, or a day is left out. */
  #startOf(day: number): number {
    let before = day * S_PER_DAY - SEARCH_S;
    let after = day * S_PER_DAY + SEARCH_S;
    while (after - before > 1) {
      const middle = Math.floor((before + after) / 2);
      if (this.dayAt(middle) < day) before = middle;
      else after = middle;
    }
    return after;
  }
}
