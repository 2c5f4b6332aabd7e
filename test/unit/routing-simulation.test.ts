/**
 * Choice, breakers, fallbacks, retries and their budget together, as workers run them, in simulated time: providers fail and recover by
 * chance, tries take a while, clients leave. The same seed gives the same run; it is in every message.
 */
import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { wallMs } from "../../src/base/clock.ts";
import type { InFlight } from "../../src/base/in-flight.ts";
import { TARGET_WORDS } from "../../src/base/limits.ts";
import { compileSnapshot, OWN_SLOTS } from "../../src/config/compile.ts";
import { type Route, type Snapshot, STRATEGIES, type TargetState } from "../../src/config/snapshot.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { noteAnswer } from "../../src/pipeline/lessons.ts";
import { NO_MORE, Retrier } from "../../src/pipeline/retries.ts";
import { chooseTarget, enterTarget, leaveTarget } from "../../src/pipeline/route.ts";
import { TargetHealth } from "../../src/pipeline/target-health.ts";
import { Random } from "../fuzz/random.ts";
import { exchangeOf } from "../support/exchange.ts";
import { inFlightOf } from "../support/in-flight.ts";
import { configOf, providerConfig } from "../support/request-path.ts";

const WALL_MS = 1.8e12;
const SEEDS = 150;
const STEPS = 1_500;
const SERVER_ERROR = 16;

interface Try {
  readonly exchange: Exchange;
  readonly worker: Worker;
  readonly retrier: Retrier;
  /** When it is answered, or its pause is over. */
  dueMs: number;
  pausing: boolean;
}

interface Worker {
  readonly snapshot: Snapshot;
  readonly retrier: Retrier;
  readonly states: readonly TargetState[];
}

class Simulation {
  readonly random: Random;
  readonly seed: number;
  readonly down: boolean[] = [];
  readonly #workers: Worker[];
  readonly #running = new Set<Try>();
  nowMs = 0;
  readonly counts = {
    requests: 0,
    answered: 0,
    failed: 0,
    turnedAway: 0,
    left: 0,
    fallbacks: 0,
    retries: 0,
    opened: 0,
    closed: 0,
  };

  constructor(seed: number) {
    this.seed = seed;
    this.random = new Random(seed);
    const slots = Array.from({ length: 2 + this.random.below(4) }, () => new Int32Array(16));
    const learned = slots.map(() => new Int32Array(TARGET_WORDS));
    const attempts = slots.length + this.random.below(3);
    const strategy = this.random.pick(STRATEGIES);
    const targets = slots.map((_, i) => ({
      provider: "main",
      model: `m${i}`,
      weight: 1 + this.random.below(5),
      priority: this.random.below(2),
    }));
    this.down = slots.map(() => false);
    const inFlight = slots.map(() => inFlightOf(2));
    const state = OWN_SLOTS.stateOfRoute("");
    const routes = { ...OWN_SLOTS, stateOfRoute: () => state };
    this.#workers = Array.from({ length: 2 }, (_, worker) => {
      const states = slots.map((breaker, i) => ({
        inFlight: inFlight[i]?.[worker] as InFlight,
        breaker,
        learned: learned[i] as Int32Array,
      }));
      const stateOf = (_: string, model: string) => states[Number(model.slice(1))] as TargetState;
      const changes = {
        models: { several: { targets, strategy, attempts } },
        breaker: {
          enabled: true,
          failures: 3,
          errorPercent: 50,
          requests: 20,
          windowMs: 5_000,
          cooldownMs: 500,
          cooldownMaxMs: 4_000,
        },
        retries: { failures: 63, pauseMs: 50, pauseMaxMs: 500, budgetPercent: 20, budgetMin: 3 },
      };
      const snapshot = compileSnapshot(configOf({ main: providerConfig(9) }, "/nowhere", changes), 1, stateOf, routes);
      return { snapshot, retrier: new Retrier(() => this.random.unit()), states };
    });
  }

  get wallMs(): number {
    return WALL_MS + this.nowMs;
  }

  readonly #health = new TargetHealth(
    () => this.random.unit(),
    ({ open }) => {
      this.counts[open ? "opened" : "closed"] += 1;
    },
  );

  run(): void {
    for (let step = 0; step < STEPS; step += 1) {
      this.nowMs += this.random.below(8);
      if (this.random.chance(0.01)) this.#turnOver();
      if (this.random.chance(0.7)) this.#begin(this.random.pick(this.#workers));
      for (const one of [...this.#running]) this.#look(one);
    }
    this.down.fill(false);
    while (this.#running.size > 0) {
      this.nowMs += 10;
      for (const one of [...this.#running]) this.#look(one);
    }
    this.#check();
  }

  #turnOver(): void {
    const target = this.random.below(this.down.length);
    this.down[target] = this.down[target] !== true;
  }

  #begin(worker: Worker): void {
    const exchange = exchangeOf({ snapshot: worker.snapshot });
    const route = worker.snapshot.routes.get("several") as Route;
    exchange.route = route;
    this.counts.requests += 1;
    worker.retrier.request(exchange, this.wallMs);
    if (!chooseTarget(exchange, route, 0, this.wallMs, () => this.random.unit())) {
      this.counts.turnedAway += 1;
      return;
    }
    const one = { exchange, worker, retrier: worker.retrier, dueMs: 0, pausing: false };
    this.#running.add(one);
    this.#try(one);
  }

  #try(one: Try): void {
    one.pausing = false;
    one.exchange.attempts += 1;
    enterTarget(one.exchange, () => this.wallMs - wallMs(0));
    one.dueMs = this.nowMs + 1 + this.random.below(200);
    const { exchange } = one;
    ok(exchange.attempts <= (exchange.route?.attempts ?? 0), `seed ${this.seed}: more tries than attempts`);
  }

  #look(one: Try): void {
    if (this.random.chance(0.0005)) this.#end(one, "left");
    else if (one.dueMs <= this.nowMs && one.pausing) this.#again(one, "retries");
    else if (one.dueMs <= this.nowMs) this.#answer(one);
  }

  #again(one: Try, kind: "retries" | "fallbacks"): void {
    this.counts[kind] += 1;
    this.#try(one);
  }

  #answer(one: Try): void {
    const { exchange } = one;
    const target = Number(exchange.target?.upstreamModel?.slice(1));
    const failure = this.down[target] === true ? SERVER_ERROR : 0;
    this.#health.answer(exchange, failure, 0, this.wallMs);
    if (failure === 0) {
      if (exchange.choice !== null) noteAnswer(exchange, exchange.choice, this.wallMs - wallMs(0));
      this.#end(one, "answered");
      return;
    }
    const before = exchange.tried;
    leaveTarget(exchange);
    const pauseMs = one.retrier.next(exchange, failure, 0, this.nowMs, this.wallMs);
    if (pauseMs === NO_MORE) this.#end(one, "failed");
    else if (pauseMs === 0) {
      ok(exchange.tried > before, `seed ${this.seed}: a fallback to where it was`);
      this.#again(one, "fallbacks");
    } else {
      one.pausing = true;
      one.dueMs = this.nowMs + pauseMs;
    }
  }

  #end(one: Try, how: "left" | "answered" | "failed"): void {
    leaveTarget(one.exchange);
    this.#running.delete(one);
    this.counts[how] += 1;
  }

  #check(): void {
    const { requests, answered, failed, turnedAway, left, retries } = this.counts;
    strictEqual(answered + failed + turnedAway + left, requests, `seed ${this.seed}: a request was lost`);
    const inFlight = this.#workers.flatMap(({ states }) => states.map((state) => state.inFlight.count));
    strictEqual(
      inFlight.every((count) => count === 0),
      true,
      `seed ${this.seed}: ${inFlight} are in flight for ever`,
    );
    // The budget of both: a fifth of the requests, and three for each ten seconds that have begun.
    const most = requests * 0.2 + 3 * (Math.ceil(this.nowMs / 10_000) + 1);
    ok(retries <= most, `seed ${this.seed}: ${retries} retries of ${requests} requests`);
  }
}

function runOf(seed: number): Simulation {
  const simulation = new Simulation(seed);
  simulation.run();
  return simulation;
}

test(`${SEEDS} runs lose no request, and everything that can happen happens`, () => {
  const sum: Record<string, number> = {};
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    for (const [name, count] of Object.entries(runOf(seed).counts)) sum[name] = (sum[name] ?? 0) + count;
  }
  for (const [name, count] of Object.entries(sum)) ok(count > 20, `${name}: ${count}`);
  ok((sum["answered"] ?? 0) > 0.6 * (sum["requests"] ?? 0), JSON.stringify(sum));
});

test("the same seed gives the same run", () => {
  strictEqual(JSON.stringify(runOf(7).counts), JSON.stringify(runOf(7).counts));
});
