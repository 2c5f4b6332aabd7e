/** How long answers of a route usually are: learned from what was used, and known after a restart, and to workers that come later. */
import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { OUTPUT_TOKENS_ASSUMED } from "../../src/base/limits.ts";
import type { Snapshot } from "../../src/config/snapshot.ts";
import { learnAnswers, usualAnswer } from "../../src/pipeline/answer-size.ts";
import { classify } from "../../src/pipeline/endpoint.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { Limiter } from "../../src/pipeline/limit.ts";
import { prepareLimits } from "../../src/shm/limits.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";
import { DAY_MS, directoryOf, ruleOf } from "../support/limits.ts";
import { sampleRecord } from "../support/sample-record.ts";

const rule = ruleOf({ name: "plenty", quantity: "output_tokens", scope: [], limit: 1_000_000, periodMs: DAY_MS });
const newSnapshot = (): Snapshot => ({ ...snapshotOf({}), limits: [rule] });

/** What a worker is, as far as limits go; the process has one at a time. */
class Worker {
  readonly #limiter: Limiter;
  #snapshot: Snapshot;

  constructor(dataDir: string, snapshot = newSnapshot()) {
    this.#limiter = new Limiter(prepareLimits(dataDir), () => undefined);
    this.#snapshot = snapshot;
    this.#limiter.configure(snapshot);
  }

  reload(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    this.#limiter.configure(snapshot);
  }

  tick(): void {
    this.#limiter.tick();
  }

  admitted(model = "allowed"): Exchange {
    const exchange = exchangeOf({ snapshot: this.#snapshot });
    classify(exchange);
    exchange.model = model;
    // What is reserved is only kept of what may be cut.
    exchange.stream = true;
    exchange.route = this.#snapshot.routes.get(model) ?? null;
    exchange.target = exchange.route?.target ?? null;
    strictEqual(this.#limiter.admit(exchange), null);
    return exchange;
  }

  /** How many output tokens one reserves that says no number. */
  reserves(model?: string): number {
    const exchange = this.admitted(model);
    this.settle(exchange, 0);
    return exchange.outputReserved;
  }

  answer(outputTokens: number, changes: Partial<Exchange> = {}): void {
    this.settle(Object.assign(this.admitted(), changes), outputTokens);
  }

  settle(exchange: Exchange, outputTokens: number): void {
    this.#limiter.settle(exchange, sampleRecord({ inputTokens: 0, outputTokens }));
  }
}

test("what was learned is known after a start, of its route only", (context) => {
  const dataDir = directoryOf(context);
  const first = new Worker(dataDir);
  strictEqual(first.reserves(), OUTPUT_TOKENS_ASSUMED);
  for (let i = 0; i < 200; i += 1) first.answer(20);
  first.tick();
  const learned = first.reserves();
  ok(learned >= 20 && learned <= 21, `${learned} tokens`);
  const second = new Worker(dataDir);
  strictEqual(second.reserves(), learned);
  strictEqual(second.reserves("other"), OUTPUT_TOKENS_ASSUMED);
});

test("what workers of this gateway know is newer than what was known at its start", (context) => {
  const worker = new Worker(directoryOf(context));
  const [before, after] = [newSnapshot(), newSnapshot()];
  worker.reload(before);
  worker.answer(20);
  worker.tick();
  const learned = worker.reserves();
  ok(learned < OUTPUT_TOKENS_ASSUMED);
  learnAnswers(after.routes.get("allowed")?.answers ?? new Int32Array(1), 1, 5_000);
  worker.reload(after);
  ok(worker.reserves() > OUTPUT_TOKENS_ASSUMED);
  worker.reload(before);
  strictEqual(worker.reserves(), learned);
});

test("a reload loses nothing of what has just come, and an answer under the configuration before says nothing", (context) => {
  const [before, after] = [newSnapshot(), newSnapshot()];
  const worker = new Worker(directoryOf(context), before);
  const late = worker.admitted();
  worker.answer(20);
  worker.reload(after);
  const learned = worker.reserves();
  ok(learned < OUTPUT_TOKENS_ASSUMED);
  worker.settle(late, 20);
  worker.tick();
  strictEqual(worker.reserves(), learned);
});

test("an answer that was cut says nothing of how long answers are", (context) => {
  const worker = new Worker(directoryOf(context));
  worker.answer(1, { error: ERRORS.cutByLimit });
  worker.tick();
  strictEqual(worker.reserves(), OUTPUT_TOKENS_ASSUMED);
});

test("what several workers learn of a route is one number: each answer moves it as far, in whatever order they tell of them", () => {
  const [one, other] = [new Int32Array(1), new Int32Array(1)];
  for (let i = 0; i < 20; i += 1) learnAnswers(one, 1, 100);
  learnAnswers(other, 12, 100);
  learnAnswers(other, 8, 100);
  ok(Math.abs(usualAnswer(one) - usualAnswer(other)) < 1, `${usualAnswer(one)} and ${usualAnswer(other)}`);
  strictEqual(usualAnswer(new Int32Array(1)), OUTPUT_TOKENS_ASSUMED);
  learnAnswers(other, 1_000, 1e12);
  ok(usualAnswer(other) > 1e8);
});
