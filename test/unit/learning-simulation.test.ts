/**
 * The strategies that learn, `latency` and `headroom`, as two workers run them in simulated time on one memory: targets become slow, hang and
 * recover, and providers refuse what is over their limits. The same seed gives the same run; it is in every message.
 */
import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { machineMs, wallMs } from "../../src/base/clock.ts";
import { headerLines } from "../../src/base/header-lines.ts";
import { TARGET_WORDS } from "../../src/base/limits.ts";
import { compileSnapshot } from "../../src/config/compile.ts";
import type { Route, Snapshot, Strategy } from "../../src/config/snapshot.ts";
import { ENDPOINT_CHAT } from "../../src/pipeline/endpoint.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { noteAnswer, noteFailure, noteHead } from "../../src/pipeline/lessons.ts";
import { chooseTarget, enterTarget, leaveTarget } from "../../src/pipeline/route.ts";
import type { ResponseHead } from "../../src/upstream/transport.ts";
import { Random } from "../fuzz/random.ts";
import { exchangeOf } from "../support/exchange.ts";
import { inFlightOf } from "../support/in-flight.ts";
import { configOf, providerConfig } from "../support/request-path.ts";

const SEEDS = 30;
/** So that ticks begin at the same place in every process. */
const BEGIN_MS = 1e9 - machineMs(wallMs(0));

interface Running {
  readonly exchange: Exchange;
  readonly place: number;
  readonly dueMs: number;
  /** Of a provider with limits, what it says. */
  readonly head: ResponseHead | null;
}

/** Two workers in front of targets; `serve` says when a request is answered, and with which head. */
class Machine {
  readonly random: Random;
  readonly sent: number[];
  nowMs = 0;
  readonly #workers: readonly Snapshot[];
  #running: Running[] = [];

  constructor(seed: number, strategy: Strategy, count: number) {
    this.random = new Random(seed);
    this.sent = Array.from({ length: count }, () => 0);
    const learned = this.sent.map(() => new Int32Array(TARGET_WORDS));
    const targets = this.sent.map((_, i) => ({ provider: "main", model: `m${i}`, weight: 1, priority: 0 }));
    const inFlight = learned.map(() => inFlightOf(2));
    this.#workers = Array.from({ length: 2 }, (_, worker) => {
      const states = learned.map((own, i) => ({
        inFlight: inFlight[i]?.[worker] ?? failing(),
        breaker: new Int32Array(16),
        learned: own,
      }));
      const changes = { models: { several: { targets, strategy, attempts: 1, breaker: false } } };
      const stateOf = (_: string, model: string) => states[Number(model.slice(1))] ?? failing();
      return compileSnapshot(configOf({ main: providerConfig(9) }, "/nowhere", changes), 1, stateOf);
    });
  }

  get wallMs(): number {
    return wallMs(BEGIN_MS + this.nowMs);
  }

  /** For so many requests: one every `everyMs` on average. */
  run(requests: number, everyMs: number, serve: (place: number) => Pick<Running, "dueMs" | "head">): void {
    for (let i = 0; i < requests; i += 1) {
      this.nowMs += this.random.below(2 * everyMs + 1);
      this.answer();
      this.#begin(serve);
    }
  }

  #begin(serve: (place: number) => Pick<Running, "dueMs" | "head">): void {
    const snapshot = this.random.pick(this.#workers);
    const exchange = exchangeOf({ snapshot });
    exchange.endpoint = ENDPOINT_CHAT;
    exchange.route = snapshot.routes.get("several") as Route;
    exchange.outputTokensMax = 100;
    const found = chooseTarget(exchange, exchange.route, 0, this.wallMs, () => this.random.unit());
    strictEqual(found, true);
    const place = exchange.choice?.place ?? -1;
    this.sent[place] = (this.sent[place] ?? 0) + 1;
    enterTarget(exchange, () => BEGIN_MS + this.nowMs);
    this.#running.push({ exchange, place, ...serve(place) });
  }

  /** What is due. */
  answer(): void {
    const due = this.#running.filter(({ dueMs }) => dueMs <= this.nowMs).sort((a, b) => a.dueMs - b.dueMs);
    this.#running = this.#running.filter(({ dueMs }) => dueMs > this.nowMs);
    for (const { exchange, head, dueMs } of due) {
      const { choice } = exchange;
      if (choice === null) throw new Error("it has a target");
      const status = head?.status ?? 200;
      if (head !== null) noteHead(exchange, head, 0, this.wallMs);
      if (status === 200) noteAnswer(exchange, choice, BEGIN_MS + dueMs);
      else noteFailure(exchange, choice, this.wallMs);
      leaveTarget(exchange);
    }
  }

  /** How many each target got of those of `work`. */
  during(work: () => void): number[] {
    const before = [...this.sent];
    work();
    return this.sent.map((count, place) => count - (before[place] ?? 0));
  }
}

function failing(): never {
  throw new Error("there is no such target");
}

for (const trouble of ["slow", "hangs", "fails"] as const) {
  test(`latency, ${SEEDS} seeds: a target that ${trouble === "slow" ? "is slow" : trouble} loses its requests at once, and has them back when it is well`, () => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const machine = new Machine(seed, "latency", 2 + (seed % 3));
      const { random } = machine;
      const count = machine.sent.length;
      const well = () => ({ dueMs: machine.nowMs + 150 + random.below(100), head: null });
      const sick = {
        slow: () => ({ dueMs: machine.nowMs + 4_000 + random.below(2_000), head: null }),
        hangs: () => ({ dueMs: machine.nowMs + 60_000, head: { status: 504, lines: "" } as ResponseHead }),
        fails: () => ({ dueMs: machine.nowMs + 5, head: { status: 500, lines: "" } as ResponseHead }),
      }[trouble];
      machine.run(500, 20, well);
      const before = machine.during(() => machine.run(1_000, 20, well));
      ok(
        before.every((sent) => sent > 1_000 / count / 4),
        `seed ${seed}: ${before} while all are well`,
      );
      // The first of them are on their way before anybody can know.
      const serve = (place: number) => (place === 0 ? sick() : well());
      const first = machine.during(() => machine.run(200, 20, serve))[0] ?? 0;
      ok(first <= 30, `seed ${seed}: ${first} of the first 200 requests to a target that ${trouble}`);
      const later = machine.during(() => machine.run(3_000, 20, serve))[0] ?? 0;
      ok(later <= 20, `seed ${seed}: ${later} of 3000 requests to a target that ${trouble}`);
      // What is left of the last peak, a timeout's, is below what the others take after 57 s.
      machine.run(7_500, 20, well);
      const after = machine.during(() => machine.run(1_000, 20, well))[0] ?? 0;
      ok(after > 1_000 / count / 4, `seed ${seed}: ${after} of 1000 requests after it is well again`);
    }
  });
}

/** A bucket of requests that fills evenly. */
class Provider {
  readonly #machine: Machine;
  readonly #limit: number;
  #used = 0;
  #atMs = 0;
  refused = 0;

  constructor(machine: Machine, limit: number) {
    this.#machine = machine;
    this.#limit = limit;
  }

  serve(): Pick<Running, "dueMs" | "head"> {
    const { nowMs, random } = this.#machine;
    this.#used = Math.max(0, this.#used - ((nowMs - this.#atMs) * this.#limit) / 60_000);
    this.#atMs = nowMs;
    const admits = this.#used + 1 <= this.#limit;
    if (admits) this.#used += 1;
    else this.refused += 1;
    const remaining = Math.floor(this.#limit - this.#used);
    const lines = headerLines([
      ...["x-ratelimit-limit-requests", String(this.#limit), "x-ratelimit-remaining-requests", String(remaining)],
      ...["x-ratelimit-reset-requests", `${Math.ceil((this.#used * 60_000) / this.#limit)}ms`],
    ]);
    const head = { status: admits ? 200 : 429, lines } as ResponseHead;
    return { dueMs: nowMs + 100 + random.below(3_000), head };
  }
}

test(`headroom, ${SEEDS} seeds: providers with unlike limits refuse nothing while they have room together`, () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const machine = new Machine(seed, "headroom", 3);
    const providers = [60, 300, 900].map((limit) => new Provider(machine, limit));
    // 1000 a minute, of 1260: by turns, the small one would be asked for 333.
    machine.run(5_000, 60, (place) => providers[place]?.serve() ?? failing());
    const refused = providers.map((provider) => provider.refused);
    strictEqual(Math.max(...refused), 0, `seed ${seed}: ${refused} were refused of ${machine.sent}`);
  }
});
