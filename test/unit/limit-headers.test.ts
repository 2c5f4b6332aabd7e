/** What clients are told of limits. */
import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { headerList } from "../../src/base/header-lines.ts";
import type { LimitRule, LimitStanding } from "../../src/base/limit-terms.ts";
import { FRAME_BYTES_MAX, LIMIT_LINES_BYTES_MAX } from "../../src/base/limits.ts";
import { spanText } from "../../src/base/span.ts";
import { chunkFrame, headBytes } from "../../src/http/frames.ts";
import { native } from "../../src/native/native.ts";
import { retryLines } from "../../src/pipeline/limit-headers.ts";
import { responseHead } from "../../src/pipeline/response-head.ts";
import { LIMIT_AT, type LimitsMap, prepareLimits } from "../../src/shm/limits.ts";
import { exchangeOf } from "../support/exchange.ts";
import { directoryOf, fill, ruleOf } from "../support/limits.ts";

const WINDOW_MS = 86_400_000;
const NOWHERE = {
  requestsLimit: -1,
  requestsLeft: 0,
  requestsResetMs: 0,
  tokensLimit: -1,
  tokensLeft: 0,
  tokensResetMs: 0,
};
const STATUS = "200 OK";

/** Lines about one request, at a time when this much of a window is to come. */
function linesOf(context: TestContext, leftMs: number, rule: Partial<LimitRule> = {}): string[] {
  const map = prepareLimits(directoryOf(context));
  map.configure([ruleOf({ kind: "window", periodMs: WINDOW_MS, limit: 5_000, ...rule })], WINDOW_MS);
  native.limitsHoldTime(20_000 * WINDOW_MS - leftMs);
  fill(map, map.subject("key", "one"), { input: 7 });
  map.decide();
  return listOf("", standingOf(map));
}

function standingOf({ fields }: LimitsMap): LimitStanding {
  const [requestsLimit = -1, requestsLeft = 0, requestsResetMs = 0] = fields.subarray(LIMIT_AT.requests);
  const [tokensLimit = -1, tokensLeft = 0, tokensResetMs = 0] = fields.subarray(LIMIT_AT.tokens);
  return { requestsLimit, requestsLeft, requestsResetMs, tokensLimit, tokensLeft, tokensResetMs };
}

/** As it goes over the wire. */
function listOf(lines: string, standing: LimitStanding | null): string[] {
  const text = Buffer.from(headBytes(STATUS + lines, standing)).toString("latin1");
  strictEqual(text.slice(0, STATUS.length), STATUS);
  return headerList(text.slice(STATUS.length));
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

test("lines about limits stand behind a head of any length, in front of a chunk too", () => {
  const most = 1_099_511_627_776;
  const standing: LimitStanding = {
    requestsLimit: most,
    requestsLeft: most - 1,
    requestsResetMs: WINDOW_MS - 1,
    tokensLimit: most,
    tokensLeft: most - 2,
    tokensResetMs: WINDOW_MS - 1,
  };
  const lines = Buffer.from(headBytes("", standing)).toString("latin1");
  strictEqual(headerList(lines).length, 12);
  ok(lines.length < LIMIT_LINES_BYTES_MAX);
  for (const over of [
    -3_000,
    -LIMIT_LINES_BYTES_MAX - 30,
    -LIMIT_LINES_BYTES_MAX,
    -lines.length - 1,
    -1,
    0,
    1,
    70_000,
  ]) {
    const head = "\u00fc".repeat(FRAME_BYTES_MAX + over);
    strictEqual(Buffer.from(headBytes(head, standing)).toString("latin1"), head + lines, String(over));
    strictEqual(Buffer.from(headBytes(head, null)).toString("latin1"), head, String(over));
    const frame = Buffer.from(chunkFrame(head, standing, Buffer.from("ab"), true)).toString("latin1");
    strictEqual(frame, `${head}${lines}\r\n\r\n2\r\nab\r\n0\r\n\r\n`, String(over));
  }
  strictEqual(Buffer.from(headBytes("", { ...standing, requestsLimit: -1, tokensLimit: -1 })).length, 0);
  throws(() => native.limitsHead("x".repeat(FRAME_BYTES_MAX), 0), /no room/);
  throws(() => native.limitsHead("", FRAME_BYTES_MAX), /no room/);
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
    listOf(responseHead(exchange, head).slice(STATUS.length), exchange.standing).filter((name) =>
      name.startsWith("x-ratelimit"),
    );
  deepStrictEqual(namesOf(), ["x-ratelimit-limit-requests", "x-ratelimit-reset-tokens", "x-ratelimit-y"]);
  exchange.standing = { ...NOWHERE, requestsLimit: 5 };
  deepStrictEqual(namesOf(), [
    "x-ratelimit-y",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
  ]);
});
