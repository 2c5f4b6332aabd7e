/** What choosing a target costs where a model has several: nanoseconds per choice, by strategy and number of targets. */
import { nowMs, wallMs } from "../../src/base/clock.ts";
import { BREAKER_WORDS, TARGET_WORDS } from "../../src/base/limits.ts";
import { compileSnapshot } from "../../src/config/compile.ts";
import { STRATEGIES, type Strategy, type TargetState } from "../../src/config/snapshot.ts";
import { nextChoice } from "../../src/pipeline/choose.ts";
import { report, spend } from "../../src/pipeline/headroom.ts";
import { ask, observe } from "../../src/pipeline/latency.ts";
import { noteAnswer, noteAsked, noteHead } from "../../src/pipeline/lessons.ts";
import { tickOf } from "../../src/pipeline/machine-ticks.ts";
import { readRateHeaders } from "../../src/pipeline/rate-headers.ts";
import { chooseTarget } from "../../src/pipeline/route.ts";
import { TARGET_AT } from "../../src/shm/targets.ts";
import { exchangeOf, snapshotOf } from "../../test/support/exchange.ts";
import { enterTimes, inFlightOf } from "../../test/support/in-flight.ts";
import { configOf, providerConfig } from "../../test/support/request-path.ts";
import { compare } from "./contest.ts";

const PRICE = { inputPico: 150_000, cachedInputPico: 75_000, outputPico: 600_000 };
const HASH_BY = { by: "header", line: "\r\nx-session-id: " } as const;
const LINES = `\r\nuser-agent: OpenAI/Python 1.99.1${"\r\nx-stainless-lang: python".repeat(8)}\r\nx-session-id: ${"5".repeat(36)}`;

const HEAD = {
  status: 200,
  lines:
    "\r\ncontent-type: application/json\r\nopenai-organization: org-1\r\nopenai-processing-ms: 312\r\nopenai-version: 2020-10-01" +
    "\r\nx-ratelimit-limit-requests: 10000\r\nx-ratelimit-limit-tokens: 2000000\r\nx-ratelimit-remaining-requests: 9999" +
    "\r\nx-ratelimit-remaining-tokens: 1999234\r\nx-ratelimit-reset-requests: 6ms\r\nx-ratelimit-reset-tokens: 22ms\r\ncf-ray: 8c1",
  contentType: "application/json",
  contentEncoding: "",
  upstreamRequestId: "",
  contentLength: 100,
  closeDelimited: false,
};

/** Two, and those of the generation before. */
const WORKERS = 4;

/** Choosers among `count` targets of the same priority, the first of which was tried, after all of them have answered. */
function choosers(count: number, strategies: readonly Strategy[] = STRATEGIES, workers = WORKERS) {
  const targets = Array.from({ length: count }, (_, i) => ({
    provider: "main",
    model: `m${i}`,
    weight: i + 1,
    priority: 0,
  }));
  const prices = Object.fromEntries(targets.map(({ model }) => [model, PRICE]));
  const entries = strategies.map((strategy): [string, () => unknown] => {
    const models = { several: { targets, strategy, hashBy: HASH_BY, attempts: count } };
    const config = configOf({ main: providerConfig(9) }, "/nowhere", { models, prices });
    const route = compileSnapshot(config, 1, () => stateAmong(workers)).routes.get("several");
    if (route === undefined) throw new Error("the route is not there");
    const exchange = exchangeOf();
    exchange.lines = LINES;
    exchange.textBytes = 4_000;
    for (const { state } of route.choices) answer(state.learned);
    const among = workers === WORKERS ? "" : `, ${workers} workers`;
    return [`${strategy} of ${count}${among}`, () => nextChoice(exchange, route, 1, Math.random(), wallMs(0))];
  });
  return Object.fromEntries(entries);
}

/** What is known of a target by one of so many workers, each of which has something in flight there. */
function stateAmong(workers: number): TargetState {
  const [own, ...others] = inFlightOf(workers);
  if (own === undefined) throw new Error("there is a worker");
  for (const inFlight of [own, ...others]) enterTimes(inFlight, 1 + Math.floor(8 * Math.random()));
  return { inFlight: own, breaker: new Int32Array(BREAKER_WORDS), learned: new Int32Array(TARGET_WORDS) };
}

/** What an answer of a target leaves. */
function answer(learned: Int32Array): void {
  const now = tickOf(wallMs(0));
  observe(learned, TARGET_AT.whole, 400 + 100 * Math.random(), now);
  ask(learned, TARGET_AT.whole, now);
  for (const at of [TARGET_AT.requests, TARGET_AT.tokens]) {
    report(
      learned,
      at,
      { limit: 1e6, remaining: 5e5 + 1e5 * Math.random(), resetMs: 60_000 },
      spend(learned, at, 1),
      now,
    );
  }
}

/** What a request does: the clock, the choice, and its breaker. */
function request(count: number): () => unknown {
  const targets = Array.from({ length: count }, (_, i) => ({
    provider: "main",
    model: `m${i}`,
    weight: i + 1,
    priority: 0,
  }));
  const snapshot = snapshotOf({ models: { several: { targets, strategy: "weighted", attempts: count } } });
  const route = snapshot.routes.get("several");
  if (route === undefined) throw new Error("the route is not there");
  const exchange = exchangeOf({ snapshot });
  return () => chooseTarget(exchange, route, 0, wallMs(nowMs()), Math.random);
}

/** What learning adds to a request: when it is sent, and when its answer begins. */
function lessons(strategy: "latency" | "headroom"): () => unknown {
  const targets = ["a", "b"].map((model) => ({ provider: "main", model, weight: 1, priority: 0 }));
  const snapshot = snapshotOf({ models: { several: { targets, strategy, attempts: 2 } } });
  const [choice] = snapshot.routes.get("several")?.choices ?? [];
  if (choice === undefined) throw new Error("the route is not there");
  const exchange = exchangeOf({ snapshot });
  exchange.choice = choice;
  return () => {
    noteAsked(exchange, choice, nowMs);
    if (strategy === "latency") noteAnswer(exchange, choice, nowMs());
    else noteHead(exchange, HEAD, 0, wallMs(nowMs()));
  };
}

compare("what is learned of a target", "no limits in the head", {
  latency: lessons("latency"),
  headroom: lessons("headroom"),
  "no limits in the head": () => readRateHeaders(LINES, 0),
});

compare("choice of a target", "clock read", {
  ...choosers(2),
  ...choosers(16),
  ...choosers(16, ["least_in_flight", "latency"], 32),
  ...choosers(4, ["least_in_flight"], 128),
  "a request, of 2": request(2),
  "a request, of 16": request(16),
  "clock read": nowMs,
});
