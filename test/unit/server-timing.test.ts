/** The Server-Timing header: exact milliseconds, whatever was reached. */
import { match, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { serverTiming } from "../../src/pipeline/server-timing.ts";
import { exchangeOf } from "../support/exchange.ts";

test("each step lasts from the end of the one before", () => {
  const exchange = exchangeOf();
  Object.assign(exchange, {
    authenticatedMs: 0.0214,
    bodyMs: 1.5,
    scannedMs: 1.5,
    forwardedMs: 2.4996,
    headMs: 1_002.5,
  });
  strictEqual(
    serverTiming(exchange),
    "auth;dur=0.021, recv;dur=1.479, scan;dur=0.000, route;dur=1.000, upstream;dur=1000.000",
  );
});

test("a step that was not reached took no time", () => {
  const exchange = exchangeOf();
  exchange.authenticatedMs = 5;
  match(
    serverTiming(exchange),
    /^auth;dur=5\.000, recv;dur=0\.000, scan;dur=0\.000, route;dur=0\.000, upstream;dur=0\.000$/,
  );
});
