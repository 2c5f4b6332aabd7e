/** How long answers of a route usually are: learned from what was used, and known after a restart, and to workers that come later. */
import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { OUTPUT_TOKENS_ASSUMED } from "../../src/base/limits.ts";
import { classify } from "../../src/pipeline/endpoint.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { Limiter } from "../../src/pipeline/limit.ts";
import { prepareLimits } from "../../src/shm/limits.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";
import { DAY_MS, directoryOf, ruleOf } from "../support/limits.ts";
import { sampleRecord } from "../support/sample-record.ts";

const rule = ruleOf({ name: "plenty", quantity: "output_tokens", scope: [], limit: 1_000_000, periodMs: DAY_MS });
const snapshot = { ...snapshotOf({}), limits: [rule] };

/** What a worker is, as far as limits go; the process has one at a time. */
function workerOf(dataDir: string): Limiter {
  const limiter = new Limiter(prepareLimits(dataDir), () => undefined);
  limiter.configure(snapshot);
  return limiter;
}

function admitted(limiter: Limiter, model = "allowed"): Exchange {
  const exchange = exchangeOf({ snapshot });
  classify(exchange);
  exchange.model = model;
  exchange.route = snapshot.routes.get(model) ?? null;
  exchange.target = exchange.route?.target ?? null;
  strictEqual(limiter.admit(exchange), null);
  return exchange;
}

/** How many output tokens one reserves that says no number. */
function reservedBy(limiter: Limiter, model?: string): number {
  const exchange = admitted(limiter, model);
  limiter.settle(exchange, sampleRecord({ inputTokens: 0, outputTokens: 0 }));
  return exchange.outputReserved;
}

function answer(limiter: Limiter, outputTokens: number, changes: Partial<Exchange> = {}): void {
  limiter.settle(Object.assign(admitted(limiter), changes), sampleRecord({ outputTokens }));
}

test("what was learned is known after a restart, of its route only", (context) => {
  const dataDir = directoryOf(context);
  const first = workerOf(dataDir);
  strictEqual(reservedBy(first), OUTPUT_TOKENS_ASSUMED);
  for (let i = 0; i < 200; i += 1) answer(first, 20);
  const learned = reservedBy(first);
  ok(learned <= 21, `${learned} tokens`);
  first.tick();
  const second = workerOf(dataDir);
  strictEqual(reservedBy(second), learned);
  strictEqual(reservedBy(second, "other"), OUTPUT_TOKENS_ASSUMED);
});

test("what a reload leaves is newer than what was known at the start", (context) => {
  const limiter = workerOf(directoryOf(context));
  answer(limiter, 20);
  const learned = reservedBy(limiter);
  limiter.configure({ ...snapshot });
  strictEqual(reservedBy(limiter), OUTPUT_TOKENS_ASSUMED, "of another snapshot nothing is learned here");
  limiter.configure(snapshot);
  strictEqual(reservedBy(limiter), learned);
});

test("an answer that was cut says nothing of how long answers are", (context) => {
  const limiter = workerOf(directoryOf(context));
  answer(limiter, 1, { error: ERRORS.cutByLimit });
  strictEqual(reservedBy(limiter), OUTPUT_TOKENS_ASSUMED);
});
