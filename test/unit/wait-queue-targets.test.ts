/** Requests that wait where limits count targets apart: what any of the targets has room for goes on, and none is asked more than it has. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { LimitRule } from "../../src/base/limit-terms.ts";
import type { ModelConfig } from "../../src/config/model.ts";
import type { Snapshot } from "../../src/config/snapshot.ts";
import { native } from "../../src/native/native.ts";
import { ENDPOINT_CHAT } from "../../src/pipeline/endpoint.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { Limiter } from "../../src/pipeline/limit.ts";
import { route } from "../../src/pipeline/route.ts";
import { WaitQueue } from "../../src/pipeline/wait-queue.ts";
import { CountersWriter } from "../../src/shm/counters.ts";
import { COUNTER_LENGTH } from "../../src/shm/layout.ts";
import { prepareLimits } from "../../src/shm/limits.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";
import { directoryOf, HELD_TIME_MS, ruleOf, SECOND_MS } from "../support/limits.ts";

const SWEEP_MS = 100;
const ends = (...names: readonly string[]) =>
  names.map((model) => ({ provider: "main", model, weight: 1, priority: 0 }));
const MODELS: Readonly<Record<string, ModelConfig>> = {
  both: { targets: ends("a", "b"), strategy: "priority", attempts: 2 },
  chained: { targets: ends("a"), strategy: "priority", attempts: 2, fallbacks: { default: ends("b") } },
};

/** A queue whose time stands in our hand. */
class Stage {
  /** By the targets that they were admitted at. */
  readonly admitted: Record<string, number> = {};
  refused = 0;
  nowMs = 0;
  readonly queue: WaitQueue;
  readonly #snapshot: Snapshot;
  #timers: { readonly run: () => void; readonly atMs: number }[] = [];

  constructor(context: TestContext, ...limits: readonly LimitRule[]) {
    const waitRules = { maxWaitMs: 60 * SECOND_MS, maxRequests: 1_000, maxBytes: 1_000_000 };
    this.#snapshot = snapshotOf({ limits, models: MODELS, waitRules });
    native.limitsHoldTime(HELD_TIME_MS);
    const limiter = new Limiter(prepareLimits(directoryOf(context)), () => {});
    limiter.configure(this.#snapshot);
    this.queue = new WaitQueue({
      limiter,
      counters: new CountersWriter(new Float64Array(COUNTER_LENGTH)),
      owner: {
        onWait: () => {},
        onAdmitted: (exchange) => this.#count(exchange),
        refuse: () => {
          this.refused += 1;
        },
      },
      nowMs: () => this.nowMs,
      later: (run, delayMs) => this.#timers.push({ run, atMs: this.nowMs + delayMs }),
    });
  }

  #count({ target }: Exchange): void {
    const name = target?.upstreamModel ?? "";
    this.admitted[name] = (this.admitted[name] ?? 0) + 1;
  }

  ask(model: string): void {
    const exchange = exchangeOf({ snapshot: this.#snapshot });
    exchange.key = this.#snapshot.keyRecords[0] ?? null;
    exchange.endpoint = ENDPOINT_CHAT;
    exchange.bodyMs = this.nowMs;
    exchange.model = model;
    strictEqual(route(exchange), null);
    if (this.queue.admit(exchange) !== null) this.refused += 1;
    else if (exchange.waiting === null) this.#count(exchange);
  }

  /** Millisecond by millisecond. */
  pass(ms: number): void {
    for (const end = this.nowMs + ms; this.nowMs < end; ) {
      this.nowMs += 1;
      native.limitsHoldTime(HELD_TIME_MS + this.nowMs);
      for (let due = this.#due(); due.length > 0; due = this.#due()) for (const { run } of due) run();
      if (this.nowMs % SWEEP_MS === 0) this.queue.sweep();
    }
  }

  #due() {
    const due = this.#timers.filter(({ atMs }) => atMs <= this.nowMs);
    this.#timers = this.#timers.filter((timer) => !due.includes(timer));
    return due;
  }
}

/** Ten a second at each target. */
const EACH = ruleOf({ name: "each", scope: ["target"], limit: 10, burst: 1 });

for (const model of ["both", "chained"]) {
  test(`${model}: those that wait go on as fast as both targets together let them, and no faster`, (context) => {
    const stage = new Stage(context, EACH);
    for (let i = 0; i < 100; i += 1) stage.ask(model);
    deepStrictEqual([stage.admitted, stage.queue.size], [{ a: 1, b: 1 }, 98]);
    stage.pass(SECOND_MS);
    const { a = 0, b = 0 } = stage.admitted;
    ok(a <= 11 && b <= 11 && a + b >= 20, `${a} and ${b} in a second`);
    stage.pass(5 * SECOND_MS);
    deepStrictEqual([stage.queue.size, stage.refused, stage.admitted], [0, 0, { a: 50, b: 50 }]);
  });
}
