/** What clients are told of limits. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { headerList } from "../../src/base/header-lines.ts";
import { spanText } from "../../src/base/span.ts";
import { retryLines, standingLines } from "../../src/pipeline/limit-headers.ts";
import { responseHead } from "../../src/pipeline/response-head.ts";
import { exchangeOf } from "../support/exchange.ts";

test("spans of time as OpenAI writes them, never too short", () => {
  const spans: readonly [ms: number, text: string][] = [
    [0, "0ms"],
    [0.2, "1ms"],
    [999, "999ms"],
    [1_000, "1s"],
    [1_001, "1.1s"],
    [59_900, "59.9s"],
    [59_901, "1m0s"],
    [360_000, "6m0s"],
    [3_599_001, "1h0m0s"],
    [17_280_000, "4h48m0s"],
    [90_061_000, "25h1m1s"],
  ];
  for (const [ms, text] of spans) strictEqual(spanText(ms), text, String(ms));
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
  exchange.limitLines = standingLines("requests", 5, 4, 1_000);
  deepStrictEqual(namesOf(), [
    "x-ratelimit-y",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
  ]);
});
