/** What is wrong with entries of `budgets` is found, at its place, in words that help; what is right means what it says. */
import { deepEqual, match } from "node:assert/strict";
import { test } from "node:test";
import { checkText } from "../../src/config/load.ts";
import { formatProblems } from "../../src/config/problem.ts";
import { readDollars } from "../../src/config/scalar.ts";

const KEY = `keys: [{ name: web, hash: "sha256:${"1".repeat(64)}" }]\n`;
const BASE = `providers: { demo: { type: demo } }\nmodels: { chat: { provider: demo }, mini: { provider: demo } }\n${KEY}`;

function checked(budgets: string, more = "") {
  const text = `${BASE}budgets: ${budgets}\n${more}`;
  const { problems, warnings, config } = checkText("/nowhere/f.yaml", text, {});
  const heads = (found: typeof problems) =>
    formatProblems("f.yaml", text, found)
      .split("\n")
      .filter((line) => line.startsWith("f.yaml:"));
  return { heads: heads(problems), warnings: heads(warnings), limits: config?.limits ?? [] };
}

function problem(name: string, budgets: string, expected: string): void {
  test(name, () => deepEqual(checked(budgets).heads, [`f.yaml:4:${expected}`]));
}

test("money and tokens of one budget are a rule each", () => {
  const { limits } = checked(
    "[{ scope: [key], usd: 12.50, tokens: 10_000_000, per: month, time_zone: Europe/Berlin, mode: observe, alert_at: [90] }]",
  );
  const base = {
    ...{ name: "key", kind: "budget", scope: ["key"], keys: null, models: null, periodMs: 0, observes: true },
    ...{ admitsUnplaced: false, calendar: { per: "month", timeZone: "Europe/Berlin" }, alertAt: [90] },
  };
  deepEqual(limits, [
    { ...base, quantity: "cost", limit: 12_500_000_000, burst: 12_500_000_000 },
    { ...base, quantity: "tokens", limit: 10_000_000, burst: 10_000_000 },
  ]);
});

test("what is left out has its default", () => {
  const [rule] = checked("[{ tokens: 1, per: day }]").limits;
  deepEqual([rule?.name, rule?.calendar?.timeZone, rule?.observes, rule?.alertAt], ["all", "UTC", false, [80, 100]]);
});

test("dollars are exact, and written without doubt", () => {
  const good: readonly [string, number][] = [
    ["50", 50_000_000_000],
    ["0.000001", 1_000],
    ["9_000_000", 9_000_000_000_000_000],
    ["1_000.1", 1_000_100_000_000],
  ];
  for (const [text, nano] of good) deepEqual(readDollars(text), nano, text);
  for (const text of ["0", "-1", "1e3", "1.0000001", "9000001", "$5", "1,5", ".5", "_1", "constructor"])
    match(JSON.stringify(readDollars(text)), /expected USD/, text);
});

problem("a period that is none", "[{ usd: 1, per: year }]", "26: expected one of: day, week, month, total");
problem("no period", "[{ usd: 1 }]", "11: expected one of: day, week, month, total");
problem(
  "a zone that is none",
  "[{ usd: 1, per: day, time_zone: Berlin }]",
  "42: expected a time zone by its name, such as UTC or Europe/Berlin",
);
problem(
  "an offset, which knows no summer",
  "[{ usd: 1, per: day, time_zone: '+02:00' }]",
  "42: expected a time zone by its name, such as UTC or Europe/Berlin",
);
problem(
  "a budget of nothing",
  "[{ per: day }]",
  "11: this budget is of nothing; give it usd, tokens, input_tokens or output_tokens",
);
problem("a scope twice", "[{ usd: 1, per: day, scope: [key, key] }]", "38: one of these is given twice");
problem("a threshold twice", "[{ usd: 1, per: day, alert_at: [80, 80] }]", "41: one of these is given twice");
problem("an unknown key", "[{ usd: 1, per: day, keys: [wep] }]", "38: there is no key 'wep'; did you mean 'web'?");
problem(
  "two that count the same apart",
  "[{ usd: 1, per: day }, { tokens: 1, per: day, scope: [] }]",
  "63: another budget counts the same apart; give this one a 'name'",
);

test("limits and budgets together are bounded", () => {
  const budgets = `[${Array.from({ length: 33 }, (_, i) => `{ name: b${i}, usd: 1, tokens: 1, per: day }`).join(", ")}]`;
  match(checked(budgets).heads.join("\n"), /at most 64 limits are taken, not 66/);
});

test("models without a price are not counted by a budget of money, which is warned of", () => {
  const some = "prices: { chat: { input: 1, output: 1 } }\n";
  const [first, ...others] = checked("[{ usd: 1, per: day }]", some).warnings;
  match(first ?? "", /'mini' without a price: this budget does not count what is not in 'prices'/);
  deepEqual(others, []);
  match(checked("[{ usd: 1, per: day }]").warnings.join(""), /'chat' and 1 more without a price/);
  for (const one of ["tokens: 1, per: day", "usd: 1, per: day, models: [chat]"])
    deepEqual(checked(`[{ ${one} }]`, some).warnings, []);
});
