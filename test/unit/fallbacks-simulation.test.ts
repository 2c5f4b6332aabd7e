/**
 * Credentials, fallbacks by failure, breakers and health checks together, as two workers run them, in simulated time: targets, credentials and
 * checks turn bad and good by chance, prompts are too long for some models, tries take a while. One target, the last of `default`, is
 * always well, so no request may fail for its provider. The same seed gives the same run; it is in every message.
 */
import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { TARGET_WORDS } from "../../src/base/limits.ts";
import { compileSnapshot, OWN_SLOTS } from "../../src/config/compile.ts";
import {
  failureBit,
  type HealthCheck,
  type Route,
  type Snapshot,
  type TargetState,
} from "../../src/config/snapshot.ts";
import { takeCredential } from "../../src/pipeline/credential.ts";
import { CredentialHealth, waitForCredentialMs } from "../../src/pipeline/credential-health.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { failureOfStatus } from "../../src/pipeline/failure.ts";
import { judge } from "../../src/pipeline/provider-health.ts";
import { NO_MORE, Retrier } from "../../src/pipeline/retries.ts";
import { chooseAny, enterTarget, leaveTarget } from "../../src/pipeline/route.ts";
import { TargetHealth } from "../../src/pipeline/target-health.ts";
import { restMs } from "../../src/shm/breakers.ts";
import { Random } from "../fuzz/random.ts";
import { exchangeOf } from "../support/exchange.ts";
import { inFlightOf } from "../support/in-flight.ts";
import { configOf, providerConfig } from "../support/request-path.ts";

const WALL_MS = 1.8e12;
const SEEDS = 100;
const STEPS = 1_500;
const WINDOW = failureBit("context_length");
const KEYS = 3;
/** Of the model, then of its fallbacks. `large`: takes any prompt. */
const MODELS = ["a", "b", "other", "large", "safe"] as const;
type Name = (typeof MODELS)[number];
const PROVIDERS: Readonly<Record<Name, string>> = {
  a: "main",
  b: "backup",
  other: "main",
  large: "main",
  safe: "spare",
};
const to = (...names: Name[]) => names.map((model) => ({ provider: PROVIDERS[model], model, weight: 1, priority: 0 }));

interface Try {
  readonly exchange: Exchange;
  readonly retrier: Retrier;
  readonly isLong: boolean;
  dueMs: number;
}

interface Worker {
  readonly snapshot: Snapshot;
  readonly retrier: Retrier;
  readonly states: ReadonlyMap<string, TargetState>;
}

class Simulation {
  readonly random: Random;
  readonly #seed: number;
  readonly #down = new Set<Name>();
  readonly #bad = new Map<number, number>();
  readonly #workers: Worker[];
  readonly #running = new Set<Try>();
  #nowMs = 0;
  readonly counts = {
    requests: 0,
    answered: 0,
    left: 0,
    tooLong: 0,
    rotations: 0,
    fallbacks: 0,
    long: 0,
    refused: 0,
    accepted: 0,
    opened: 0,
    unhealthy: 0,
  };
  readonly #health = new TargetHealth(
    () => this.random.unit(),
    ({ open }) => {
      if (open) this.counts.opened += 1;
    },
  );
  readonly #credentials = new CredentialHealth(({ refused }) => {
    this.counts[refused ? "refused" : "accepted"] += 1;
  });

  constructor(seed: number) {
    this.#seed = seed;
    this.random = new Random(seed);
    const slots = new Map<string, Int32Array>();
    const slotOf = (name: string) => {
      const slot = slots.get(name) ?? new Int32Array(16);
      slots.set(name, slot);
      return slot;
    };
    const list = Array.from({ length: KEYS }, (_, i) => ({ header: "api-key", value: `k${i}`, source: `k${i}` }));
    const check = {
      path: "/",
      intervalMs: 1_000,
      timeoutMs: 1_000,
      unhealthyAfter: 2,
      healthyAfter: 2,
      status: { from: 200, to: 299 },
    };
    const main = providerConfig(9, { credentials: list });
    const backup = providerConfig(9, { healthCheck: check });
    const model = {
      targets: to("a", "b"),
      strategy: "weighted" as const,
      attempts: 5,
      retries: false,
      fallbacks: {
        context_length: to("large"),
        rate_limit: to("other", "safe"),
        default: to("safe"),
      },
    };
    const breaker = {
      enabled: true,
      failures: 3,
      errorPercent: 50,
      requests: 20,
      windowMs: 5_000,
      cooldownMs: 500,
      cooldownMaxMs: 4_000,
    };
    const retries = { failures: 127, pauseMs: 50, pauseMaxMs: 500, budgetPercent: 20, budgetMin: 3 };
    const config = configOf({ main, backup, spare: providerConfig(9) }, "/nowhere", {
      models: { several: model },
      breaker,
      retries,
    });
    const state = OWN_SLOTS.stateOfRoute("");
    const stateOfRoute = () => state;
    const slotsOf = {
      ...OWN_SLOTS,
      slotOfCredential: (_: string, value: string) => slotOf(value),
      slotOfHealth: slotOf,
      stateOfRoute,
    };
    const inFlight = MODELS.map(() => inFlightOf(2));
    this.#workers = Array.from({ length: 2 }, (_, worker) => {
      const states = new Map<string, TargetState>();
      for (const [i, name] of MODELS.entries()) {
        const own = inFlight[i]?.[worker];
        ok(own !== undefined);
        states.set(name, {
          inFlight: own,
          breaker: slotOf(`target ${name}`),
          learned: new Int32Array(TARGET_WORDS),
        });
      }
      const stateOf = (_: string, name: string) => states.get(name) as TargetState;
      return {
        snapshot: compileSnapshot(config, 1, stateOf, slotsOf),
        retrier: new Retrier(() => this.random.unit()),
        states,
      };
    });
  }

  get #wallMs(): number {
    return WALL_MS + this.#nowMs;
  }

  run(): void {
    for (let step = 0; step < STEPS; step += 1) {
      this.#nowMs += this.random.below(8);
      if (this.random.chance(0.02)) this.#turnOver();
      if (this.random.chance(0.02)) this.#check();
      if (this.random.chance(0.7)) this.#begin(this.random.pick(this.#workers));
      for (const one of [...this.#running]) this.#look(one);
    }
    while (this.#running.size > 0) {
      this.#nowMs += 10;
      for (const one of [...this.#running]) this.#look(one);
    }
    const { requests, answered, left, tooLong } = this.counts;
    strictEqual(answered + left + tooLong, requests, `seed ${this.#seed}: a request was lost`);
    const inFlight = this.#workers.flatMap(({ states }) => [...states.values()].map((state) => state.inFlight.count));
    ok(
      inFlight.every((count) => count === 0),
      `seed ${this.#seed}: ${inFlight} are in flight for ever`,
    );
  }

  #turnOver(): void {
    const name = this.random.pick(["a", "b", "other"] as const);
    if (!this.#down.delete(name)) this.#down.add(name);
    const key = this.random.below(KEYS);
    // At least one of them is good at any time.
    if (!this.#bad.delete(key) && this.#bad.size < KEYS - 1) this.#bad.set(key, this.random.pick([401, 429]));
  }

  #check(): void {
    const health = this.#workers[0]?.snapshot.routes
      .get("several")
      ?.choices.find(({ target }) => target.provider.name === "backup");
    const check = health?.target.provider.health as HealthCheck;
    if (judge(check, !this.#down.has("b"))) this.counts.unhealthy += 1;
  }

  #begin({ snapshot, retrier }: Worker): void {
    const exchange = exchangeOf({ snapshot });
    const route = snapshot.routes.get("several") as Route;
    exchange.route = route;
    this.counts.requests += 1;
    retrier.request(exchange, WALL_MS + this.#nowMs);
    const isLong = this.random.chance(0.1);
    ok(
      chooseAny(exchange, route, this.#wallMs, () => this.random.unit()),
      `seed ${this.#seed}: nothing takes a request`,
    );
    const one = { exchange, retrier, isLong, dueMs: 0 };
    this.#running.add(one);
    this.#try(one);
  }

  #try(one: Try): void {
    const { exchange } = one;
    const rotation = exchange.target?.provider.rotation ?? null;
    exchange.credential = -1;
    if (rotation !== null) {
      const { state } = takeCredential(exchange, rotation, this.#wallMs);
      const isFree = rotation.credentials.some((other) => restMs(other.state, this.#wallMs) === 0);
      ok(
        !isFree || restMs(state, this.#wallMs) === 0,
        `seed ${this.#seed}: one that rests was taken before one that does not`,
      );
    }
    this.#send(one);
  }

  #send(one: Try): void {
    const { exchange } = one;
    exchange.attempts += 1;
    const tries = exchange.attempts - exchange.rotations;
    ok(tries <= (exchange.route?.attempts ?? 0), `seed ${this.#seed}: more tries than attempts`);
    enterTarget(exchange);
    one.dueMs = this.#nowMs + 1 + this.random.below(200);
  }

  #look(one: Try): void {
    if (this.random.chance(0.0005)) this.#end(one, "left");
    else if (one.dueMs <= this.#nowMs) this.#answer(one);
  }

  /** Of a target, as it is at this moment. */
  #statusOf({ exchange, isLong }: Try): number {
    const name = exchange.target?.upstreamModel as Name;
    const refusal = exchange.credential < 0 ? undefined : this.#bad.get(exchange.credential);
    if (refusal !== undefined) return refusal;
    if (this.#down.has(name)) return 503;
    return isLong && name !== "large" ? 400 : 200;
  }

  #answer(one: Try): void {
    const { exchange } = one;
    const status = this.#statusOf(one);
    const before = exchange.credentialsTried;
    const credential = this.#credentials.answer(exchange, status, 0, this.#wallMs);
    if (credential !== null) {
      ok((before & (1 << credential.place)) === 0, `seed ${this.#seed}: a credential twice for one try`);
      exchange.rotations += 1;
      this.counts.rotations += 1;
      this.#send(one);
      return;
    }
    const failure = failureOfStatus(status);
    this.#health.answer(exchange, failure, waitForCredentialMs(exchange, 0, this.#wallMs), this.#wallMs);
    if (status === 200) this.#end(one, "answered");
    else this.#next(one, status === 400 ? WINDOW : failure);
  }

  #next(one: Try, failure: number): void {
    const { exchange } = one;
    const { tried, target } = exchange;
    leaveTarget(exchange);
    const pauseMs = one.retrier.next(exchange, failure, 0, this.#nowMs, this.#wallMs);
    // A prompt that is too long for the one that is well may find the one that takes it ill.
    if (pauseMs === NO_MORE && one.isLong) {
      this.#end(one, "tooLong");
      return;
    }
    const where = `seed ${this.#seed}: after ${target?.upstreamModel}, ${failure}`;
    strictEqual(pauseMs, 0, `${where}: nothing more`);
    ok(exchange.tried > tried, `${where}: where it was`);
    if (failure === WINDOW) {
      strictEqual(exchange.target?.upstreamModel, "large", where);
      this.counts.long += 1;
    }
    this.counts.fallbacks += 1;
    this.#try(one);
  }

  #end(one: Try, how: "left" | "answered" | "tooLong"): void {
    leaveTarget(one.exchange);
    this.#running.delete(one);
    this.counts[how] += 1;
  }
}

function runOf(seed: number): Simulation["counts"] {
  const simulation = new Simulation(seed);
  simulation.run();
  return simulation.counts;
}

test(`${SEEDS} runs: no request fails for a provider, no credential is used that rests, and everything that can happen happens`, () => {
  const sum: Record<string, number> = {};
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    for (const [name, count] of Object.entries(runOf(seed))) sum[name] = (sum[name] ?? 0) + count;
  }
  for (const [name, count] of Object.entries(sum)) ok(count > 20, `${name}: ${count}`);
  ok((sum["answered"] ?? 0) > 0.9 * (sum["requests"] ?? 0), JSON.stringify(sum));
});

test("the same seed gives the same run", () => {
  strictEqual(JSON.stringify(runOf(5)), JSON.stringify(runOf(5)));
});
