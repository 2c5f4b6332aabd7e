/** What is wrong with rules of `rate_limits` is found, at its place, in words that help. */
import { deepEqual, match } from "node:assert/strict";
import { test } from "node:test";
import { checkText } from "../../src/config/load.ts";
import { formatProblems } from "../../src/config/problem.ts";

const KEY = `keys: [{ name: web, hash: "sha256:${"1".repeat(64)}" }]\n`;
const BASE = `providers: { demo: { type: demo } }\nmodels: { chat: { provider: demo } }\n${KEY}`;

function heads(rules: string): readonly string[] {
  const text = `${BASE}rate_limits: ${rules}\n`;
  const { problems } = checkText("/nowhere/f.yaml", text, {});
  return formatProblems("f.yaml", text, problems)
    .split("\n")
    .filter((line) => line.startsWith("f.yaml:"));
}

/** One case: rules on line 4, and where on it and what their only problem is. */
function problem(name: string, rules: string, expected: string): void {
  test(name, () => deepEqual(heads(rules), [`f.yaml:4:${expected}`]));
}

test("rules that are right", () => {
  deepEqual(
    heads("[{ requests: 1/s }, { scope: [key], requests: 1_000/day, burst: 5, keys: [web], models: [chat] }]"),
    [],
  );
  deepEqual(heads(""), []);
});

const RATE = "expected a number for each second, minute, hour or day, such as 100/min or 50_000/day";
problem("a rate without a period", "[{ requests: 100 }]", `27: ${RATE}`);
problem("a rate of a period that is none", "[{ tokens: 100/constructor }]", `25: ${RATE}`);
problem("a rate of nothing", "[{ requests: 0/s }]", "27: the number must be from 1 to 1000000000000");
problem(
  "a scope that is none",
  "[{ scope: [keys], requests: 1/s }]",
  "25: expected one of: key, team, user, address, model, route, target, provider; did you mean 'key'?",
);
problem("a scope twice", "[{ scope: [key, key], requests: 1/s }]", "24: one of these is given twice");
problem(
  "a rule that limits nothing",
  "[{ scope: [key] }]",
  "15: this limits nothing; give it requests, tokens, input_tokens, output_tokens, concurrency or bytes_in_flight",
);
problem("an unknown key", "[{ requests: 1/s, keys: [wep] }]", "39: there is no key 'wep'; did you mean 'web'?");
problem(
  "an unknown model",
  "[{ requests: 1/s, models: [chap] }]",
  "41: there is no model 'chap'; did you mean 'chat'?",
);
problem(
  "a burst of two rates",
  "[{ requests: 1/s, tokens: 1/s, burst: 2 }]",
  "52: this needs exactly one of requests, tokens, input_tokens and output_tokens in its rule",
);
problem(
  "a burst of a window",
  "[{ requests: 1/s, burst: 2, algorithm: fixed_window }]",
  "39: a fixed window has no burst",
);
problem(
  "a burst that takes years to come back",
  "[{ requests: 1/day, burst: 400 }]",
  "41: at this rate it would take more than a year until all of this is there again",
);
problem(
  "two rules that count the same apart",
  "[{ scope: [key, model], requests: 1/s }, { scope: [model, key], tokens: 1/s }]",
  "64: another rule counts the same apart; give this one a 'name'",
);
problem(
  "two rules of one name",
  "[{ name: a, requests: 1/s }, { name: a, scope: [key], requests: 1/s }]",
  "51: another rule has this name",
);

test("more limits than a request can be decided over", () => {
  const rules = Array.from({ length: 33 }, (_, i) => `{ name: r${i}, requests: 1/s, tokens: 1/s }`);
  match(
    heads(`[${rules.join(", ")}]`).join("\n"),
    /^f\.yaml:4:14: at most 64 limits are taken, not 66; a rule or budget has one/,
  );
});
