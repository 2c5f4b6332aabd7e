/** What clients are told of limits. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { headerList } from "../../src/base/header-lines.ts";
import type { LimitRule } from "../../src/base/limit-terms.ts";
import { spanText } from "../../src/base/span.ts";
import { native } from "../../src/native/native.ts";
import { retryLines } from "../../src/pipeline/limit-headers.ts";
import { responseHead } from "../../src/pipeline/response-head.ts";
import { prepareLimits } from "../../src/shm/limits.ts";
import { exchangeOf } from "../support/exchange.ts";
import { directoryOf, fill, ruleOf } from "../support/limits.ts";

const WINDOW_MS = 86_400_000;
const OWN = ["limit", "remaining", "reset"].map((what) => `\r\nx-ratelimit-${what}-requests: 5`).join("");

/** Lines about one request, at a time when this much of a window is to come. */
function linesOf(context: TestContext, leftMs: number, rule: Partial<LimitRule> = {}): string[] {
  const map = prepareLimits(directoryOf(context));
  map.configure([ruleOf({ kind: "window", periodMs: WINDOW_MS, limit: 5_000, ...rule })], WINDOW_MS);
  native.limitsHoldTime(20_000 * WINDOW_MS - leftMs);
  fill(map, map.subject("key", "one"), { input: 7 });
  return headerList(map.decide());
}

test("spans of time as OpenAI writes them, never too short", (context) => {
  const spans: readonly [ms: number, text: string][] = [
    [1, "1ms"],
    [999, "999ms"],
    [1_000, "1s"],
    [1_001, "1.1s"],
    [59_900, "59.9s"],
    [59_901, "1m0s"],
    [360_000, "6m0s"],
    [3_599_001, "1h0m0s"],
    [17_280_000, "4h48m0s"],
    [86_399_999, "24h0m0s"],
    [WINDOW_MS, "24h0m0s"],
  ];
  for (const [ms, text] of spans) {
    strictEqual(linesOf(context, ms).at(-1), text, String(ms));
    strictEqual(spanText(ms), text, String(ms));
  }
  strictEqual(spanText(0.2), "1ms");
});

test("where a request stands is said of requests and of tokens, in numbers of any length", (context) => {
  deepStrictEqual(linesOf(context, 10), [
    "x-ratelimit-limit-requests",
    "5000",
    "x-ratelimit-remaining-requests",
    "4999",
    "x-ratelimit-reset-requests",
    "10ms",
  ]);
  const limits = [8, 16, 107, 1_006, 10_008, 123_456, 1_000_007, 999_999_999, 1_099_511_627_776];
  for (const limit of limits) {
    deepStrictEqual(linesOf(context, 10, { quantity: "tokens", limit }), [
      "x-ratelimit-limit-tokens",
      String(limit),
      "x-ratelimit-remaining-tokens",
      String(limit - 7),
      "x-ratelimit-reset-tokens",
      "10ms",
    ]);
  }
  deepStrictEqual(linesOf(context, 10, { quantity: "concurrency", kind: "held" }), []);
});

test("when to come again is rounded up", () => {
  deepStrictEqual(headerList(retryLines(1_000.5)), ["retry-after", "2", "retry-after-ms", "1001"]);
});

test("a provider's own limits do not stand beside ours, and pass where none of ours applies", () => {
  const lines =
    "\r\nx-ratelimit-limit-requests: 9\r\ncontent-type: text/plain\r\nx-ratelimit-reset-tokens: 1s\r\nx-ratelimit-y: 1";
  const none = { contentType: "", contentEncoding: "", contentLength: -1, closeDelimited: false };
  const head = { status: 200, lines, upstreamRequestId: "", ...none };
  const exchange = exchangeOf();
  const namesOf = () =>
    headerList(responseHead(exchange, head).replace(/^[^\r]*/, "")).filter((name) => name.startsWith("x-ratelimit"));
  deepStrictEqual(namesOf(), ["x-ratelimit-limit-requests", "x-ratelimit-reset-tokens", "x-ratelimit-y"]);
  exchange.limitLines = OWN;
  deepStrictEqual(namesOf(), [
    "x-ratelimit-y",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
  ]);
});
