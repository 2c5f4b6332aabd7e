/** What records and the header x-sluice-explain say of a decision: bounded, and never to be mistaken for something else. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { FAILURES, type Failure, failureBit } from "../../src/config/snapshot.ts";
import { decisionText, noteTry, SLOWER } from "../../src/pipeline/decision.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { explainLine } from "../../src/pipeline/explain-header.ts";
import { DECISION_LABEL_BYTES } from "../../src/telemetry/record.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";
import { providerConfig } from "../support/request-path.ts";

const models = {
  chat: {
    targets: ["main", "p2", "strange, name"].map((provider) => ({ provider, model: "m", weight: 1, priority: 0 })),
    strategy: "weighted" as const,
    attempts: 3,
  },
};
const providers = { main: providerConfig(9), p2: providerConfig(9), "strange, name": providerConfig(9) };
const snapshot = snapshotOf({ models, providers });

function routed(): Exchange {
  const exchange = exchangeOf({ snapshot });
  exchange.model = "chat";
  exchange.route = snapshot.routes.get("chat") ?? null;
  exchange.target = exchange.route?.target ?? null;
  return exchange;
}

function fail(exchange: Exchange, place: number, failure: Failure): void {
  const target = exchange.route?.choices[place]?.target;
  ok(target !== undefined);
  noteTry(exchange, target, failureBit(failure));
}

test("a request that went its plain way has no text", () => {
  strictEqual(decisionText(routed()), "");
});

test("tries are told in their order with what each of them failed by, then breakers, then the limit", () => {
  const exchange = routed();
  fail(exchange, 0, "rate_limit");
  fail(exchange, 1, "server_error");
  exchange.leftAlone = 0b110;
  exchange.refusedBy = "key; all";
  strictEqual(
    decisionText(exchange),
    "tries=main/m:rate_limit,p2/m:server_error;open=p2/m,strange%2C%20name/m;limit=key%3B%20all",
  );
});

test("for which limit it waited, and how long, is told in front of what came then", () => {
  const exchange = routed();
  exchange.waitedFor = "per key";
  exchange.waitedMs = 229.6;
  strictEqual(decisionText(exchange), "waited=per%20key:230ms");
  fail(exchange, 1, "timeout");
  strictEqual(decisionText(exchange), "waited=per%20key:230ms;tries=p2/m:timeout");
});

test("an attempt that another one was faster than, and an unhealthy provider, are told as what they are", () => {
  const exchange = routed();
  const [slow] = exchange.route?.choices ?? [];
  ok(slow !== undefined);
  noteTry(exchange, slow.target, SLOWER);
  exchange.unhealthy = 0b010;
  strictEqual(decisionText(exchange), "tries=main/m:slower;unhealthy=p2/m");
});

test("a text fits into its record whatever was tried: the last tries and the limit are kept", () => {
  const exchange = routed();
  for (let i = 0; i < 40; i += 1) fail(exchange, i % 3, FAILURES[i % FAILURES.length] ?? "reset");
  exchange.refusedBy = "key";
  const text = decisionText(exchange);
  ok(text.length < DECISION_LABEL_BYTES, text);
  match(text, /^tries=\.\.,.*,main\/m:\w+;limit=key$/);
  strictEqual(exchange.failedTries?.length, 8);
});

test("who asks, and may, is told in one line with a fixed order; nobody else", () => {
  const exchange = routed();
  fail(exchange, 1, "timeout");
  exchange.attempts = 2;
  exchange.upstreamStatus = 200;
  exchange.limitsTold = "key:requests:4/5";
  exchange.waitedFor = "key";
  exchange.waitedMs = 12;
  const [key] = snapshot.keyRecords;
  ok(key !== undefined);
  const asked = (ownLines: string, explain = true) => {
    exchange.ownLines = ownLines;
    exchange.key = { ...key, explain };
    return explainLine(exchange);
  };
  strictEqual(
    asked("\r\nx-sluice-explain: 1"),
    "\r\nx-sluice-explain: route=chat; strategy=weighted; waited=key:12ms; target=main/m; tries=p2/m:timeout,main/m:200; limits=key:requests:4/5",
  );
  exchange.error = ERRORS.upstreamIdleTimeout;
  match(asked("\r\nx-sluice-explain: 1"), /,main\/m:upstream_idle_timeout;/, "the client has no 200");
  exchange.error = null;
  strictEqual(
    asked("\r\nx-sluice-other: 2\r\nx-sluice-explain: true\r\nx-sluice-more: 3"),
    asked("\r\nx-sluice-explain: 1"),
  );
  const not = ["", "\r\nx-sluice-explain: 0", "\r\nx-sluice-explain: 10", "\r\nx-sluice-explains: 1"];
  deepStrictEqual([...not.map((lines) => asked(lines)), asked("\r\nx-sluice-explain: 1", false)], ["", "", "", "", ""]);
  exchange.key = null;
  strictEqual(explainLine(exchange), "");
});
