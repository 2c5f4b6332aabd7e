/** What answers of providers say of their limits, in all the ways in which they say it. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { headerLines } from "../../src/base/header-lines.ts";
import { readRateHeaders, requestsReport, tokensReport } from "../../src/pipeline/rate-headers.ts";
import { Random } from "../fuzz/random.ts";

const WALL_MS = Date.parse("2026-05-01T12:00:00Z");
const NOTHING = { limit: -1, remaining: -1, resetMs: -1 };

function read(headers: Readonly<Record<string, string>>) {
  const found = readRateHeaders(headerLines(Object.entries(headers).flat()), WALL_MS);
  return { found, requests: { ...requestsReport }, tokens: { ...tokensReport } };
}

test("OpenAI and Azure", () => {
  deepStrictEqual(
    read({
      "content-type": "application/json",
      "x-ratelimit-limit-requests": "500",
      "x-ratelimit-limit-tokens": "200000",
      "x-ratelimit-remaining-requests": "499",
      "x-ratelimit-remaining-tokens": "199987",
      "x-ratelimit-reset-requests": "120ms",
      "x-ratelimit-reset-tokens": "6m0s",
      vary: "Accept",
    }),
    {
      found: true,
      requests: { limit: 500, remaining: 499, resetMs: 120 },
      tokens: { limit: 200_000, remaining: 199_987, resetMs: 360_000 },
    },
  );
});

test("Anthropic", () => {
  deepStrictEqual(
    read({
      "anthropic-ratelimit-requests-limit": "50",
      "anthropic-ratelimit-requests-remaining": "0",
      "anthropic-ratelimit-requests-reset": "2026-05-01T12:00:30Z",
      "anthropic-ratelimit-tokens-limit": "40000",
      "anthropic-ratelimit-tokens-remaining": "39000",
      "anthropic-ratelimit-tokens-reset": "2026-05-01T11:00:00Z",
    }),
    {
      found: true,
      requests: { limit: 50, remaining: 0, resetMs: 30_000 },
      tokens: { limit: 40_000, remaining: 39_000, resetMs: 0 },
    },
  );
});

for (const [text, ms] of Object.entries({
  "1s": 1_000,
  "20ms": 20,
  "1m30.5s": 90_500,
  "1h2m3s": 3_723_000,
  "1d": 86_400_000,
  "7.66s": 7_660,
  "59": 59_000,
  "0.5": 500,
  "0": 0,
  [String(WALL_MS + 4_000)]: 4_000,
  [String(WALL_MS / 1_000 + 3)]: 3_000,
  soon: -1,
  "5w": -1,
  "1s2": -1,
  s: -1,
  "-5": -1,
  "2026-99-99T00:00:00Z": -1,
})) {
  test(`a reset of '${text}' is ${ms} ms`, () => {
    strictEqual(read({ "x-ratelimit-reset-tokens": text }).tokens.resetMs, ms);
  });
}

test("a number that is none, or another header, says nothing", () => {
  for (const value of ["-1", "many", "1e3", "5 of 10", "0x10", " "]) {
    deepStrictEqual(read({ "x-ratelimit-remaining-requests": value }), {
      found: false,
      requests: NOTHING,
      tokens: NOTHING,
    });
  }
  const others = {
    "x-my-ratelimit-limit-requests": "1",
    "ratelimit-limit-requests": "1",
    "x-ratelimit-remaining": "1",
    "x-note": "see x-ratelimit-limit-requests: 5",
  };
  deepStrictEqual(read(others), { found: false, requests: NOTHING, tokens: NOTHING });
  strictEqual(read({ "x-ratelimit-limit-tokens": "9".repeat(30) }).tokens.limit, 2 ** 31 - 1);
});

test("whatever a provider sends is read to its end, and gives whole numbers", () => {
  const pieces = [
    "x-",
    "anthropic-",
    "ratelimit-",
    "limit-",
    "requests",
    ": ",
    "\r\n",
    "9",
    ".",
    "ms",
    "d",
    "-",
    "2026-",
    "é",
  ];
  for (let seed = 1; seed <= 500; seed += 1) {
    const random = new Random(seed);
    const lines = Array.from({ length: 30 }, () => random.pick(pieces)).join("");
    readRateHeaders(`\r\nx-ratelimit-reset-tokens: ${lines}`, WALL_MS);
    for (const report of [requestsReport, tokensReport])
      for (const value of Object.values(report)) strictEqual(Number.isFinite(value), true, `seed ${seed}: ${lines}`);
  }
});
