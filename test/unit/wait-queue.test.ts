/** The queue of requests that limits have no room for yet: whose turn it is, when, for how long, and what it does not do. Time stands in our hand. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import type { LimitRule } from "../../src/base/limit-terms.ts";
import { KEY_PRIORITIES, SWEEP_INTERVAL_MS } from "../../src/base/limits.ts";
import { WAIT_DROPS } from "../../src/base/wait-drops.ts";
import type { Snapshot } from "../../src/config/snapshot.ts";
import { native } from "../../src/native/native.ts";
import { ENDPOINT_CHAT } from "../../src/pipeline/endpoint.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { Limiter } from "../../src/pipeline/limit.ts";
import { route } from "../../src/pipeline/route.ts";
import { WaitQueue } from "../../src/pipeline/wait-queue.ts";
import { bucketOf, CountersWriter, histogramOf } from "../../src/shm/counters.ts";
import { COUNTER_LENGTH, WAIT_DROPPED_0, WAITED_MS, WAITS } from "../../src/shm/layout.ts";
import { type LimitsMap, prepareLimits } from "../../src/shm/limits.ts";
import type { RequestRecord } from "../../src/telemetry/record.ts";
import { hashOf } from "../support/config.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";
import { directoryOf, ruleOf, SECOND_MS } from "../support/limits.ts";

const START_MS = 1_800_000_000_000;
const NOTHING_USED = { inputTokens: 0, outputTokens: 0, costNanodollars: 0 } as RequestRecord;
/** One of a lower number goes first. */
const PRIORITIES = { first: 0, many: 5, few: 5, last: 9 } as const;
type Key = keyof typeof PRIORITIES;

interface Timer {
  readonly run: () => void;
  readonly atMs: number;
}

/** A queue before real limits, with what comes of those that wait. */
class Stage {
  readonly admitted: string[] = [];
  readonly refused: string[] = [];
  readonly limiter: Limiter;
  readonly queue: WaitQueue;
  readonly block = new Float64Array(COUNTER_LENGTH);
  readonly map: LimitsMap;
  nowMs = 0;
  timersRun = 0;
  attempts = 0;
  readonly #snapshot: Snapshot;
  readonly #deadlines = new Map<Exchange, number>();
  #timers: Timer[] = [];

  constructor(context: TestContext, limits: readonly LimitRule[], queue: Partial<NonNullable<Snapshot["queue"]>> = {}) {
    this.map = prepareLimits(directoryOf(context));
    const { decide } = this.map;
    const counted = () => {
      this.attempts += 1;
      return decide();
    };
    Object.assign(this.map, { decide: counted });
    const key = { enabled: true, expiresAtMs: null, team: null, models: null };
    const keys = Object.entries(PRIORITIES).map(([name, priority]) => ({ ...key, name, hash: hashOf(name), priority }));
    const waitRules = { maxWaitMs: 60 * SECOND_MS, maxRequests: 10_000, maxBytes: 1_000_000, ...queue };
    this.#snapshot = snapshotOf({ limits, keys, waitRules });
    this.limiter = new Limiter(this.map, () => {});
    this.limiter.configure(this.#snapshot);
    native.limitsHoldTime(START_MS);
    this.queue = new WaitQueue({
      limiter: this.limiter,
      counters: new CountersWriter(this.block),
      owner: {
        onWait: (exchange, waitMs) => this.#deadlines.set(exchange, this.nowMs + waitMs),
        onAdmitted: (exchange) => this.admitted.push(exchange.requestId),
        refuse: (exchange, error) => {
          exchange.error = error;
          this.refused.push(exchange.requestId);
        },
      },
      nowMs: () => this.nowMs,
      later: (run, delayMs) => this.#timers.push({ run, atMs: this.nowMs + delayMs }),
    });
  }

  /** A request; "admitted", "waits", or why it is refused. */
  ask(key: Key, name: string, changes: Partial<Exchange> = {}): { exchange: Exchange; outcome: string } {
    const exchange = exchangeOf({ snapshot: this.#snapshot });
    exchange.key = this.#snapshot.keyRecords.find((record) => record.name === key) ?? null;
    exchange.endpoint = ENDPOINT_CHAT;
    exchange.requestId = name;
    exchange.bodyMs = this.nowMs;
    Object.assign(exchange, { model: "other", ...changes });
    strictEqual(route(exchange), null);
    const verdict = this.queue.admit(exchange);
    const outcome = verdict?.code ?? (exchange.waiting === null ? "admitted" : "waits");
    return { exchange, outcome };
  }

  end(exchange: Exchange): void {
    const held = exchange.limitTicket >= 0;
    this.limiter.settle(exchange, NOTHING_USED);
    this.queue.onOver(exchange, held);
  }

  /** Millisecond by millisecond: timers, and sweeps where the worker has them. */
  pass(ms: number): void {
    for (const end = this.nowMs + ms; this.nowMs < end; ) {
      this.nowMs += 1;
      native.limitsHoldTime(START_MS + this.nowMs);
      this.runTimers();
      if (this.nowMs % SWEEP_INTERVAL_MS === 0) this.sweep();
    }
  }

  runTimers(): void {
    for (;;) {
      const due = this.#timers.filter(({ atMs }) => atMs <= this.nowMs);
      if (due.length === 0) return;
      this.#timers = this.#timers.filter((timer) => !due.includes(timer));
      this.timersRun += due.length;
      for (const { run } of due) run();
    }
  }

  sweep(): void {
    this.queue.sweep();
    for (const [exchange, atMs] of this.#deadlines) {
      if (exchange.waiting === null) this.#deadlines.delete(exchange);
      else if (atMs <= this.nowMs) this.queue.expire(exchange);
    }
  }

  dropped(): Record<string, number> {
    const counts = WAIT_DROPS.map((drop, i) => [drop, this.block[WAIT_DROPPED_0 + i] ?? 0] as const);
    return Object.fromEntries(counts.filter(([, count]) => count > 0));
  }

  rejections(): number {
    return this.map.tallies().reduce((sum, { rejected }) => sum + rejected, 0);
  }
}

function all(changes: Partial<LimitRule> = {}): LimitRule {
  return ruleOf({ name: "all", scope: [], limit: 10, burst: 1, ...changes });
}

function held(limit: number, scope: LimitRule["scope"] = []): LimitRule {
  return ruleOf({ name: "held", scope, quantity: "concurrency", kind: "held", limit, burst: limit, periodMs: 0 });
}

function names(key: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${key} ${i}`);
}

test("what a limit has no room for waits, and goes on in its order at the limit's rate", (context) => {
  const stage = new Stage(context, [all()]);
  const outcomes = names("many", 11).map((name) => stage.ask("many", name).outcome);
  deepStrictEqual(outcomes, ["admitted", ...Array(10).fill("waits")]);
  stage.pass(SECOND_MS / 2);
  strictEqual(stage.admitted.length, 5);
  stage.pass(SECOND_MS);
  deepStrictEqual(stage.admitted, names("many", 11).slice(1));
  deepStrictEqual([stage.block[WAITS], stage.queue.size, stage.rejections()], [10, 0, 0]);
  ok((stage.block[WAITED_MS] ?? 0) >= 5_500);
  const { buckets, sumUs } = histogramOf(stage.block, "wait");
  deepStrictEqual([buckets.reduce((sum, count) => sum + count), sumUs], [10, (stage.block[WAITED_MS] ?? 0) * 1_000]);
  const inBucket = buckets.findLastIndex((count) => count > 0);
  strictEqual(inBucket, bucketOf(SECOND_MS * 1_000));
});

test("ten thousand of one key keep another key waiting for one turn", (context) => {
  const stage = new Stage(context, [all()]);
  for (const name of names("many", 10_000)) stage.ask("many", name);
  strictEqual(stage.ask("few", "few 0").outcome, "waits");
  strictEqual(stage.ask("few", "few 1").outcome, "rate_limit_exceeded");
  stage.pass(2 * SWEEP_INTERVAL_MS);
  deepStrictEqual(stage.admitted, ["many 1", "few 0"]);
});

test("keys of one priority take turns", (context) => {
  const stage = new Stage(context, [all()]);
  for (const name of names("many", 9)) stage.ask("many", name);
  for (const name of names("few", 3)) stage.ask("few", name);
  stage.pass(SECOND_MS);
  deepStrictEqual(stage.admitted.slice(0, 7), ["many 1", "few 0", "many 2", "few 1", "many 3", "few 2", "many 4"]);
});

test("lower priority numbers go first, whenever they come", (context) => {
  const stage = new Stage(context, [all()]);
  stage.ask("many", "before");
  for (const key of ["last", "many", "first"] as const) stage.ask(key, key);
  stage.pass(120);
  stage.ask("first", "first again");
  stage.pass(SECOND_MS);
  deepStrictEqual(stage.admitted, ["first", "first again", "many", "last"]);
  ok(Math.max(...Object.values(PRIORITIES)) < KEY_PRIORITIES);
});

test("who has no time left when its wait ends is refused, and not admitted to be ended at once", (context) => {
  const stage = new Stage(context, [held(1)], { maxWaitMs: 10_000 });
  const { exchange } = stage.ask("many", "runs");
  const { exchange: waits } = stage.ask("many", "waits", { totalMs: 250 });
  stage.pass(200);
  deepStrictEqual(stage.refused, []);
  stage.nowMs = 300;
  stage.limiter.settle(exchange, NOTHING_USED);
  stage.queue.expire(waits);
  deepStrictEqual([stage.refused, stage.admitted, stage.dropped()], [["waits"], [], { deadline: 1 }]);
  strictEqual(waits.error, ERRORS.limitReached);
  ok(waits.retryLines.includes("\r\nretry-after-ms: "));
  strictEqual(stage.ask("many", "next").outcome, "admitted", "it took no permit");
});

test("who has waited as long as it may is refused with the usual answer, and counts for nothing before", (context) => {
  const stage = new Stage(context, [held(1)], { maxWaitMs: 250 });
  const { exchange } = stage.ask("many", "runs");
  const { exchange: waits } = stage.ask("many", "waits");
  stage.pass(200);
  deepStrictEqual([stage.refused, stage.rejections()], [[], 0]);
  stage.pass(100);
  deepStrictEqual([stage.refused, stage.dropped(), stage.rejections()], [["waits"], { deadline: 1 }, 1]);
  strictEqual(waits.error, ERRORS.limitReached);
  ok(waits.retryLines.includes("\r\nretry-after-ms: "));
  stage.end(exchange);
  strictEqual(stage.ask("many", "next").outcome, "admitted", "it took no permit");
});

test("clients may wait for less, or not at all; where there is no room before the deadline nobody waits", (context) => {
  const stage = new Stage(context, [ruleOf({ name: "slow", scope: ["key"], limit: 1, periodMs: 10 * SECOND_MS })], {
    maxWaitMs: 5 * SECOND_MS,
  });
  strictEqual(stage.ask("many", "one").outcome, "admitted");
  strictEqual(stage.ask("many", "too late").outcome, "rate_limit_exceeded");
  stage.pass(6 * SECOND_MS);
  strictEqual(stage.ask("many", "not at all", { ownLines: "\r\nx-sluice-queue-ms: 0" }).outcome, "rate_limit_exceeded");
  strictEqual(stage.ask("many", "waits").outcome, "waits");
  const behind = stage.ask("many", "behind", { ownLines: "\r\nx-sluice-queue-ms: 0" });
  strictEqual(behind.outcome, "rate_limit_exceeded");
  ok(behind.exchange.retryLines.includes("\r\nretry-after: 1"));
  const short = stage.ask("many", "short", { ownLines: "\r\nx-sluice-queue-ms: 150" });
  stage.pass(300);
  deepStrictEqual([short.exchange.waiting, stage.refused], [null, ["short"]]);
});

test("what can never be admitted, and what has no budget, does not wait", (context) => {
  const tokens = ruleOf({ name: "tokens", scope: [], quantity: "output_tokens", limit: 10 });
  const stage = new Stage(context, [tokens]);
  strictEqual(stage.ask("many", "large", { outputTokensMax: 11 }).outcome, "request_exceeds_limit");
  strictEqual(stage.rejections(), 1);
  const budget: LimitRule = {
    ...ruleOf({ name: "budget", scope: [], quantity: "output_tokens", kind: "budget", limit: 10, periodMs: 0 }),
    calendar: { per: "total", timeZone: "UTC" },
  };
  const other = new Stage(context, [budget]);
  strictEqual(other.ask("many", "spends", { outputTokensMax: 10 }).outcome, "admitted");
  strictEqual(other.ask("many", "has none", { outputTokensMax: 1 }).outcome, ERRORS.budgetUsedUp.code);
  deepStrictEqual([other.queue.size, other.rejections()], [0, 1]);
});

test("the queue is bounded in requests and in bytes", (context) => {
  const stage = new Stage(context, [held(1)], { maxRequests: 2, maxBytes: 1_000 });
  stage.ask("many", "runs");
  strictEqual(stage.ask("many", "large", { bodyBytes: 1_001 }).outcome, "rate_limit_exceeded");
  const first = stage.ask("many", "one", { bodyBytes: 900 });
  strictEqual(stage.ask("many", "beyond", { bodyBytes: 101 }).outcome, "rate_limit_exceeded");
  strictEqual(stage.ask("many", "two", { bodyBytes: 100 }).outcome, "waits");
  strictEqual(stage.ask("many", "three").outcome, "rate_limit_exceeded");
  deepStrictEqual(stage.dropped(), { full: 3 });
  first.exchange.error = ERRORS.clientAborted;
  stage.end(first.exchange);
  strictEqual(stage.ask("many", "three").outcome, "waits", "there is room again for what left");
});

test("a permit that comes back goes to the next one at once, and to nobody who is gone", (context) => {
  const stage = new Stage(context, [held(1)]);
  const { exchange } = stage.ask("many", "runs");
  const { exchange: gone } = stage.ask("few", "gone");
  stage.ask("many", "next");
  gone.error = ERRORS.clientAborted;
  stage.end(gone);
  stage.end(exchange);
  strictEqual(stage.admitted.length, 0, "not in the middle of what is over");
  stage.runTimers();
  deepStrictEqual([stage.admitted, stage.dropped(), stage.queue.size], [["next"], { client_gone: 1 }, 0]);
  strictEqual(gone.waitedFor, "held");
  strictEqual(
    histogramOf(stage.block, "wait").buckets.reduce((sum, count) => sum + count),
    2,
    "who left has waited as well",
  );
});

test("a permit that comes back in another process is seen in the next sweep", (context) => {
  const stage = new Stage(context, [held(1)]);
  const { exchange } = stage.ask("many", "runs");
  stage.ask("many", "next");
  stage.limiter.settle(exchange, NOTHING_USED);
  stage.pass(SWEEP_INTERVAL_MS);
  deepStrictEqual(stage.admitted, ["next"]);
});

test("each count has a line of its own: who waits for one does not wait for another", (context) => {
  const stage = new Stage(context, [held(1, ["user"])]);
  const runs = ["a", "b"].map((user) => stage.ask("many", `${user} runs`, { user }).exchange);
  stage.ask("many", "a waits", { user: "a" });
  stage.ask("many", "b waits", { user: "b" });
  strictEqual(stage.ask("many", "c", { user: "c" }).outcome, "admitted");
  for (const exchange of runs.slice(1)) stage.end(exchange);
  stage.runTimers();
  deepStrictEqual(stage.admitted, ["b waits"]);
});

test("what passes one limit and meets the next one moves on to its line, with the deadline that it has", (context) => {
  const stage = new Stage(context, [all({ periodMs: SECOND_MS }), held(1, ["key"])], { maxWaitMs: 400 });
  const { exchange } = stage.ask("many", "runs");
  strictEqual(stage.ask("many", "waits").outcome, "waits");
  stage.pass(300);
  deepStrictEqual([stage.admitted, stage.refused], [[], []]);
  stage.end(exchange);
  stage.runTimers();
  deepStrictEqual(stage.admitted, ["waits"]);
});

test("a thousand that wait are not asked for at every turn", (context) => {
  const stage = new Stage(context, [all({ limit: 2, periodMs: SECOND_MS })]);
  for (const name of names("many", 1_000)) stage.ask("many", name);
  const before = stage.attempts;
  stage.pass(10 * SECOND_MS);
  const admitted = stage.admitted.length;
  ok(admitted >= 19 && admitted <= 20, String(admitted));
  const attempts = stage.attempts - before;
  ok(attempts >= admitted && attempts <= 3 * admitted + 10, String(attempts));
  ok(stage.timersRun <= 3 * admitted + 10, String(stage.timersRun));
});

test("random comings and goings: nobody is lost, nothing is passed beyond the limits", (context) => {
  for (let seed = 1; seed <= 5; seed += 1) {
    let state = seed;
    const random = (bound: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * bound);
    };
    const stage = new Stage(context, [all({ limit: 100, burst: 3 }), held(4)], { maxWaitMs: 500, maxRequests: 50 });
    const running: Exchange[] = [];
    const asked: Exchange[] = [];
    let refusedAtOnce = 0;
    for (let step = 0; step < 2_000; step += 1) {
      const { exchange, outcome } = stage.ask(
        (["first", "many", "few", "last"] as const)[random(4)] ?? "few",
        `${step}`,
      );
      asked.push(exchange);
      if (outcome === "rate_limit_exceeded") refusedAtOnce += 1;
      running.splice(0, running.length, ...asked.filter(({ limitTicket }) => limitTicket >= 0));
      ok(running.length <= 4, `seed ${seed}, step ${step}`);
      const leaves = asked[asked.length - 1 - random(Math.min(asked.length, 40))];
      if (leaves !== undefined && random(2) === 0) {
        leaves.error ??= ERRORS.clientAborted;
        stage.end(leaves);
      }
      for (const exchange of running) if (random(10) === 0) stage.end(exchange);
      stage.pass(random(12));
    }
    for (const exchange of asked) if (exchange.limitTicket >= 0) stage.end(exchange);
    stage.pass(SECOND_MS);
    for (const exchange of asked) if (exchange.limitTicket >= 0) stage.end(exchange);
    strictEqual(stage.queue.size, 0, `seed ${seed}`);
    const { deadline = 0, full = 0, client_gone: gone = 0 } = stage.dropped();
    strictEqual(stage.admitted.length, stage.block[WAITS], `seed ${seed}`);
    ok(full <= refusedAtOnce && gone > 0 && deadline > 0, `seed ${seed}: ${JSON.stringify(stage.dropped())}`);
  }
});
