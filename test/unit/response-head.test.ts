/** The head of an answer: the provider's lines and ours. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ownHead, responseHead } from "../../src/pipeline/response-head.ts";
import type { ResponseHead } from "../../src/upstream/transport.ts";
import { exchangeOf } from "../support/exchange.ts";

function head(status: number, changes: Partial<ResponseHead> = {}): ResponseHead {
  const none = { contentType: "", contentEncoding: "", contentLength: -1, closeDelimited: false };
  return { status, lines: "", upstreamRequestId: "", ...none, ...changes };
}

test("the provider's lines, its request id, and ours", () => {
  const lines = responseHead(exchangeOf(), head(200, { lines: "\r\nx-a: 1", upstreamRequestId: "theirs" })).split(
    "\r\n",
  );
  deepStrictEqual(lines.slice(0, 3), ["200 OK", "x-a: 1", "x-upstream-request-id: theirs"]);
  deepStrictEqual([lines.length, lines[4]], [5, "x-request-id: req_test"]);
});

const STATUSES: [number, string][] = [
  [201, "201 Created"],
  [429, "429 Too Many Requests"],
  [599, "599 Unknown"],
];

for (const [status, line] of STATUSES) {
  test(`the status line of ${status}`, () =>
    strictEqual(responseHead(exchangeOf(), head(status)).split("\r\n")[0], line));
}

test("an answer of our own", () => {
  const exchange = exchangeOf();
  exchange.status = 503;
  const lines = [
    "503 Service Unavailable",
    "content-type: application/json",
    "retry-after: 1",
    "server-timing: auth;dur=0.000, recv;dur=0.000, scan;dur=0.000, route;dur=0.000, upstream;dur=0.000",
    "x-request-id: req_test",
  ];
  deepStrictEqual(ownHead(exchange, "\r\nretry-after: 1").split("\r\n"), lines);
});
