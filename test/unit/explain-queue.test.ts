/**
 * What `sluice explain` is told of the queue of rate limits: whether the next such request waits, and how many go before it, over any limits
 * and whoever waits already; with nothing changed by asking. Time stands in our hand.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import type { LimitRule } from "../../src/base/limit-terms.ts";
import { explanationText } from "../../src/cli/explain-report.ts";
import type { Explanation } from "../../src/config/explanation.ts";
import type { Snapshot, WaitRules } from "../../src/config/snapshot.ts";
import { native } from "../../src/native/native.ts";
import { ENDPOINT_CHAT } from "../../src/pipeline/endpoint.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { explain } from "../../src/pipeline/explain.ts";
import { Limiter } from "../../src/pipeline/limit.ts";
import { readBody } from "../../src/pipeline/read-body.ts";
import { route } from "../../src/pipeline/route.ts";
import { WaitQueue } from "../../src/pipeline/wait-queue.ts";
import { CountersWriter } from "../../src/shm/counters.ts";
import { COUNTER_LENGTH } from "../../src/shm/layout.ts";
import { prepareLimits } from "../../src/shm/limits.ts";
import type { RequestRecord } from "../../src/telemetry/record.ts";
import { Random } from "../fuzz/random.ts";
import { hashOf } from "../support/config.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";
import { DAY_MS, directoryOf, HELD_TIME_MS, MINUTE_MS, ruleOf, SECOND_MS } from "../support/limits.ts";

const NOTHING_USED = { inputTokens: 0, outputTokens: 0, costNanodollars: 0 } as RequestRecord;
const PRIORITIES = { first: 0, a: 5, b: 5, c: 5, last: 9 } as const;
type Key = keyof typeof PRIORITIES;
const KEYS = Object.keys(PRIORITIES) as Key[];

interface Ask {
  readonly key: Key;
  readonly user?: string;
  readonly maxTokens?: number;
  readonly pad?: number;
  /** As it says itself. */
  readonly queueMs?: number;
}

/** A queue before real limits, and who asks what would become of a request there. */
class Stage {
  readonly snapshot: Snapshot;
  readonly queue: WaitQueue;
  readonly limiter: Limiter;
  readonly admitted: Exchange[] = [];
  #timers: (() => void)[] = [];

  constructor(context: TestContext, limits: readonly LimitRule[], rules: Partial<WaitRules> = {}) {
    const map = prepareLimits(directoryOf(context));
    const key = { enabled: true, expiresAtMs: null, team: null, models: null };
    const keys = KEYS.map((name) => ({ ...key, name, hash: hashOf(name), priority: PRIORITIES[name] }));
    const waitRules = { maxWaitMs: 2_000, maxRequests: 1_000, maxBytes: 1_000_000, ...rules };
    this.snapshot = snapshotOf({ limits, keys, waitRules });
    this.limiter = new Limiter(map, () => {});
    native.limitsHoldTime(HELD_TIME_MS);
    this.limiter.configure(this.snapshot);
    map.tick();
    this.queue = new WaitQueue({
      limiter: this.limiter,
      counters: new CountersWriter(new Float64Array(COUNTER_LENGTH)),
      owner: {
        onWait: () => {},
        onAdmitted: (exchange) => this.admitted.push(exchange),
        refuse: (exchange, error) => {
          exchange.error = error;
        },
      },
      nowMs: () => 0,
      later: (run) => this.#timers.push(run),
    });
  }

  told({ key, queueMs, ...ask }: Ask): Explanation {
    const headers = queueMs === undefined ? [] : ["x-sluice-queue-ms", String(queueMs)];
    const question = { key, path: "/v1/chat/completions", headers, address: "", body: bodyOf(ask) };
    return explain(this.snapshot, this.limiter, question, { inFlight: 0, bodyBytesInFlight: 0, waits: this.queue });
  }

  /** A request; "admitted", "waits", or why it is refused. */
  ask({ key, queueMs, ...ask }: Ask): { exchange: Exchange; outcome: string } {
    const exchange = exchangeOf({ snapshot: this.snapshot, body: bodyOf(ask) });
    exchange.key = this.snapshot.keyRecords.find(({ name }) => name === key) ?? null;
    exchange.endpoint = ENDPOINT_CHAT;
    if (queueMs !== undefined) exchange.ownLines = `\r\nx-sluice-queue-ms: ${queueMs}`;
    strictEqual(readBody(exchange) ?? route(exchange), null);
    const verdict = this.queue.admit(exchange);
    return { exchange, outcome: verdict?.code ?? (exchange.waiting === null ? "admitted" : "waits") };
  }

  end(exchange: Exchange): void {
    const held = exchange.limitTicket >= 0;
    this.limiter.settle(exchange, NOTHING_USED);
    this.queue.onOver(exchange, held);
    this.turn();
  }

  turn(): void {
    for (const run of this.#timers.splice(0)) run();
  }
}

function bodyOf({ user, maxTokens, pad = 0 }: Omit<Ask, "key" | "queueMs">): string {
  return JSON.stringify({ model: "other", user, max_tokens: maxTokens, pad: "x".repeat(pad), messages: [] });
}

function outcomeOf({ queue, refusal }: Explanation): string {
  if (queue !== null && queue.waitMs > 0) return "waits";
  return refusal?.code ?? "admitted";
}

function held(limit: number, changes: Partial<LimitRule> = {}): LimitRule {
  return ruleOf({ name: "held", scope: [], quantity: "concurrency", kind: "held", limit, periodMs: 0, ...changes });
}

test("its place is the one at which it is let go on, whoever waits and in whatever order", (context) => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const random = new Random(seed);
    const stage = new Stage(context, [held(1)]);
    const running = [stage.ask({ key: "a" }).exchange];
    for (let others = random.below(25); others > 0; others -= 1) {
      strictEqual(stage.ask({ key: random.pick(KEYS) }).outcome, "waits");
      // So that lanes have had turns.
      if (random.below(4) === 0) stage.end(running.pop() ?? stage.admitted.at(-1) ?? stage.ask({ key: "a" }).exchange);
    }
    const key = random.pick(KEYS);
    const { queue } = stage.told({ key });
    const { exchange, outcome } = stage.ask({ key });
    strictEqual(outcome, queue?.limit === null ? "admitted" : "waits", `seed ${seed}`);
    const before = stage.admitted.length;
    while (exchange.waiting !== null) stage.end(running.pop() ?? stage.admitted.at(-1) ?? exchange);
    if (outcome === "waits") strictEqual(stage.admitted.indexOf(exchange) - before, queue?.ahead, `seed ${seed}`);
  }
});

test("what is told is what the next request meets, over any limits, any use of them and whoever waits", (context) => {
  const met = { admitted: 0, waits: 0, refused: 0 };
  for (let seed = 1; seed <= 40; seed += 1) {
    const random = new Random(seed);
    const scopes = [["key"], [], ["user"], ["key", "user"]] as const;
    const rate = () =>
      ruleOf({ name: "rate", scope: random.pick(scopes), limit: 1 + random.below(6), periodMs: MINUTE_MS });
    const day = () =>
      ruleOf({ name: "day", scope: random.pick(scopes), limit: 2 + random.below(20), periodMs: DAY_MS });
    const tokens = () => ruleOf({ name: "tokens", quantity: "output_tokens", limit: 100, periodMs: SECOND_MS });
    const some = [held(1 + random.below(4), { scope: random.pick(scopes) }), rate(), tokens(), day()];
    const limits = some.filter((_, i) => i === seed % 4 || random.chance(0.4));
    const stage = new Stage(context, limits, { maxRequests: 6, maxBytes: 2_000 });
    const running: Exchange[] = [];
    let nowMs = HELD_TIME_MS;
    for (let step = 0; step < 80; step += 1) {
      const ask: Ask = {
        key: random.pick(KEYS),
        ...(random.chance(0.5) ? { user: random.pick(["ann", "bob"]) } : {}),
        ...(random.chance(0.5) ? { maxTokens: 1 + random.below(130) } : {}),
        ...(random.chance(0.2) ? { pad: random.below(1_500) } : {}),
        ...(random.chance(0.3) ? { queueMs: random.pick([0, 30, 500, 60_000]) } : {}),
      };
      const told = stage.told(ask);
      deepStrictEqual(stage.told(ask).queue, told.queue);
      const { exchange, outcome } = stage.ask(ask);
      strictEqual(outcomeOf(told), outcome, `seed ${seed}, step ${step}`);
      met[outcome === "admitted" || outcome === "waits" ? outcome : "refused"] += 1;
      running.push(exchange, ...stage.admitted.splice(0));
      if (random.chance(0.4)) for (const one of running.splice(random.below(running.length), 1)) stage.end(one);
      nowMs += random.pick([0, 10, 200, 5_000]);
      native.limitsHoldTime(nowMs);
      if (random.chance(0.3)) stage.queue.sweep();
    }
  }
  ok(Math.min(met.admitted, met.waits, met.refused) > 200, JSON.stringify(met));
});

test("why it does not wait is told, and how much of the queue is in use, in words as well", (context) => {
  const stage = new Stage(context, [held(1), ruleOf({ name: "few", limit: 1, periodMs: DAY_MS, keys: ["last"] })], {
    maxRequests: 2,
  });
  const words = (ask: Ask) => /^queue .*$/m.exec(explanationText(stage.told(ask)))?.[0];
  strictEqual(words({ key: "a" }), "queue        not needed; 0 of 2 wait in this worker, with 0 of 1MB");
  stage.ask({ key: "last" });
  match(words({ key: "last" }) ?? "", /refused at once by limit 'few': there is no room before its time is over;/);
  match(words({ key: "a", queueMs: 0 }) ?? "", /refused at once by limit 'held': it may not wait;/);
  match(words({ key: "a" }) ?? "", /waits for limit 'held', in front, for 2s at most; 0 of 2 wait/);
  stage.ask({ key: "a" });
  match(words({ key: "b", queueMs: 700 }) ?? "", /waits for limit 'held', behind 1 other, for 700ms at most; 1 of 2/);
  stage.ask({ key: "b" });
  match(words({ key: "c" }) ?? "", /refused at once by limit 'held': the queue is full; 2 of 2 wait/);
  const { refusal } = stage.told({ key: "c" });
  deepStrictEqual([refusal?.code, refusal?.waitMs], [ERRORS.limitReached.code, 0]);
});

test("where nothing waits nothing is said of a queue", (context) => {
  const stage = new Stage(context, [held(1)]);
  const question = { key: "a", path: "/v1/chat/completions", headers: [], address: "", body: bodyOf({}) };
  strictEqual(explain(snapshotOf(), null, question).queue, null);
  const told = explain(stage.snapshot, stage.limiter, question);
  deepStrictEqual([told.queue?.limit, told.queue?.requests], [null, 0]);
});
