/** Which deadline an exchange has run into, by its phase and the time since it last moved on. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import { lookMs, overdue } from "../../src/pipeline/deadlines.ts";
import {
  PHASE_BODY,
  PHASE_CONNECTING,
  PHASE_FLUSHING,
  PHASE_OVER,
  PHASE_QUEUED,
  PHASE_SENT,
  PHASE_STREAMING,
} from "../../src/pipeline/exchange.ts";
import { exchangeOf, SeenDown, snapshotOf } from "../support/exchange.ts";

const timeouts = {
  connectMs: 10,
  firstByteMs: 400,
  idleMs: 300,
  totalMs: 100_000,
  queueMs: 200,
  stallMs: 100,
  drainMs: 1,
  upstreamKeepAliveMs: 1,
};
const snapshot = snapshotOf({ timeouts });

interface Case {
  readonly what: string;
  readonly phase: number;
  readonly limitMs: number;
  readonly error: ErrorRow;
  readonly blocked?: boolean;
}

const CASES: Case[] = [
  { what: "a body that stalls", phase: PHASE_BODY, limitMs: 100, error: ERRORS.bodyTimeout },
  { what: "the queue", phase: PHASE_QUEUED, limitMs: 200, error: ERRORS.upstreamQueueTimeout },
  { what: "the first byte", phase: PHASE_SENT, limitMs: 400, error: ERRORS.upstreamFirstByteTimeout },
  { what: "a silent provider", phase: PHASE_STREAMING, limitMs: 300, error: ERRORS.upstreamIdleTimeout },
  { what: "a reader", phase: PHASE_STREAMING, limitMs: 100, error: ERRORS.clientStalled, blocked: true },
  { what: "a reader at the end", phase: PHASE_FLUSHING, limitMs: 100, error: ERRORS.clientStalled },
  { what: "connecting", phase: PHASE_CONNECTING, limitMs: 10, error: ERRORS.upstreamConnectTimeout },
  { what: "what is over: only the total", phase: PHASE_OVER, limitMs: 99_000, error: ERRORS.upstreamTotalTimeout },
];

/** 1,000 ms after its start. */
function overdueAfter({ phase, blocked = false }: Case, waitedMs: number): ErrorRow | null {
  const down = new SeenDown();
  down.blocked = blocked;
  const exchange = exchangeOf({ snapshot, down });
  exchange.enter(phase, 1_000);
  return overdue(exchange, 1_000 + waitedMs);
}

for (const one of CASES) {
  test(`${one.what}: ${one.error.code} after ${one.limitMs} ms, not at them`, () => {
    strictEqual(overdueAfter(one, one.limitMs), null);
    strictEqual(overdueAfter(one, one.limitMs + 1), one.error);
  });
}

test("the total counts from the start, however much moves", () => {
  const exchange = exchangeOf({ snapshot });
  exchange.enter(PHASE_STREAMING, 100_000);
  strictEqual(overdue(exchange, 100_000), null);
  strictEqual(overdue(exchange, 100_001), ERRORS.upstreamTotalTimeout);
});

test("a request that gave itself less time has that, in every phase, and is looked at in time", () => {
  const exchange = exchangeOf({ snapshot });
  exchange.totalMs = 50;
  strictEqual(lookMs(exchange, 0), 10, "the shortest timeout");
  strictEqual(lookMs(exchange, 45), 50);
  strictEqual(overdue(exchange, 51), ERRORS.bodyTimeout);
  for (const phase of [PHASE_QUEUED, PHASE_CONNECTING, PHASE_SENT, PHASE_STREAMING]) {
    exchange.enter(phase, 50);
    deepStrictEqual([overdue(exchange, 50), overdue(exchange, 51)], [null, ERRORS.upstreamTotalTimeout]);
  }
});
