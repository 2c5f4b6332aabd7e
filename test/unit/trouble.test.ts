/** What the operator is told about providers that fail: the first at once, the rest counted. */
import { deepStrictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { TROUBLE_INTERVAL_MS } from "../../src/base/limits.ts";
import { type Trouble, Troubles } from "../../src/pipeline/trouble.ts";
import { exchangeOf } from "../support/exchange.ts";

test("the first failure is told at once, further ones with their count, others' kinds apart", () => {
  const told: Trouble[] = [];
  const troubles = new Troubles((trouble) => told.push(trouble));
  const exchange = exchangeOf();
  exchange.target = exchange.snapshot.passthrough;
  exchange.failureCause = "connect ECONNREFUSED 127.0.0.1:9";
  for (const atMs of [0, 1, 2, TROUBLE_INTERVAL_MS]) troubles.note(exchange, ERRORS.upstreamUnreachable, atMs);
  exchange.credential = 1;
  troubles.note(exchange, ERRORS.upstreamAuth, 3);
  deepStrictEqual(
    told.map(({ code, cause, credential, count }) => [code, cause, credential, count]),
    [
      ["upstream_unreachable", exchange.failureCause, 0, 1],
      ["upstream_unreachable", exchange.failureCause, 0, 3],
      ["upstream_auth_failed", exchange.failureCause, 2, 1],
    ],
  );
});

test("what is the client's fault, or ours, is not a provider's", () => {
  const told: Trouble[] = [];
  const troubles = new Troubles((trouble) => told.push(trouble));
  const exchange = exchangeOf();
  troubles.note(exchange, ERRORS.upstreamCut, 0);
  exchange.target = exchange.snapshot.passthrough;
  for (const error of [ERRORS.clientAborted, ERRORS.overloaded, ERRORS.invalidJson]) troubles.note(exchange, error, 0);
  deepStrictEqual(told, []);
});
