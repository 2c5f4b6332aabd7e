/** Calendar periods in time zones: where clocks are changed, where midnight is left out, and where a day is. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { isTimeZone, periodAt } from "../../src/base/calendar.ts";
import type { BudgetPeriod } from "../../src/base/limit-terms.ts";

function textOf(per: BudgetPeriod, timeZone: string, at: string): string[] {
  const period = periodAt({ per, timeZone }, Date.parse(at));
  return period === null ? [] : [period.startS, period.endS].map((s) => new Date(s * 1_000).toISOString().slice(0, 16));
}

const CASES: readonly [per: BudgetPeriod, zone: string, at: string, start: string, end: string][] = [
  ["day", "UTC", "2026-11-21T12:00:00Z", "2026-11-21T00:00", "2026-11-22T00:00"],
  ["day", "UTC", "2026-11-21T00:00:00Z", "2026-11-21T00:00", "2026-11-22T00:00"],
  ["week", "UTC", "2026-11-22T23:59:59Z", "2026-11-16T00:00", "2026-11-23T00:00"],
  ["week", "UTC", "2026-11-23T00:00:00Z", "2026-11-23T00:00", "2026-11-30T00:00"],
  ["month", "UTC", "2028-02-29T12:00:00Z", "2028-02-01T00:00", "2028-03-01T00:00"],
  ["month", "UTC", "2026-12-31T23:59:59Z", "2026-12-01T00:00", "2027-01-01T00:00"],
  // Clocks forward: a day of 23 hours. Back: one of 25.
  ["day", "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00", "2026-03-29T22:00"],
  ["day", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-24T22:00", "2026-10-25T23:00"],
  ["day", "Europe/Berlin", "2026-10-25T22:59:59Z", "2026-10-24T22:00", "2026-10-25T23:00"],
  ["month", "Europe/Berlin", "2026-03-31T21:59:59Z", "2026-02-28T23:00", "2026-03-31T22:00"],
  ["month", "America/New_York", "2026-11-01T03:59:59Z", "2026-10-01T04:00", "2026-11-01T04:00"],
  ["week", "America/New_York", "2026-03-08T12:00:00Z", "2026-03-02T05:00", "2026-03-09T04:00"],
  // Midnight did not exist: the day began at 01:00.
  ["day", "America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-04T03:00", "2018-11-05T02:00"],
  // Midnight came twice: the first one counts.
  ["day", "America/Havana", "2026-11-01T12:00:00Z", "2026-11-01T04:00", "2026-11-02T05:00"],
  // The 30th was left out.
  ["day", "Pacific/Apia", "2011-12-31T00:00:00Z", "2011-12-30T10:00", "2011-12-31T10:00"],
  ["day", "Asia/Kathmandu", "2026-11-21T18:15:00Z", "2026-11-21T18:15", "2026-11-22T18:15"],
];

for (const [per, zone, at, start, end] of CASES) {
  test(`the ${per} of ${at} in ${zone}`, () => deepStrictEqual(textOf(per, zone, at), [start, end]));
}

test("a year of any zone has whole days, each of which begins where the one before ends", () => {
  for (const zone of ["Europe/London", "America/Santiago", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Beirut"]) {
    let at = Date.parse("2026-01-01T12:00:00Z");
    let days = 0;
    for (let period = periodAt({ per: "day", timeZone: zone }, at); days < 365; days += 1) {
      const next = periodAt({ per: "day", timeZone: zone }, (period?.endS ?? 0) * 1_000);
      strictEqual(next?.startS, period?.endS, `${zone}, day ${days}`);
      at = (next?.startS ?? 0) * 1_000;
      period = next;
    }
    strictEqual(Math.abs(at - Date.parse("2027-01-01T12:00:00Z")) <= 26 * 3_600_000, true, `${zone}: ${new Date(at)}`);
  }
});

test("total has no end, and a zone is one that the runtime knows", () => {
  strictEqual(periodAt({ per: "total", timeZone: "UTC" }, 0), null);
  deepStrictEqual(["UTC", "Europe/Berlin", "Mars/Olympus"].map(isTimeZone), [true, true, false]);
});
