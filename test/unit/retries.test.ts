/** Tries after a failed one: which target, after which pause, how many, and what ends them. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import type { ModelConfig } from "../../src/config/model.ts";
import type { Retries } from "../../src/config/snapshot.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { NO_MORE, Retrier } from "../../src/pipeline/retries.ts";
import { Random } from "../fuzz/random.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { headerOf } from "../support/raw-response.ts";
import { modelOf, RequestPath, ScriptedProvider } from "../support/request-path.ts";
import { until } from "../support/until.ts";

const ANY = 0b111111;
const RETRIES: Retries = { failures: ANY, pauseMs: 100, pauseMaxMs: 60_000, budgetPercent: 20, budgetMin: 10 };

function routed(targets: number, attempts: number, retries: Partial<Retries> = {}): Exchange {
  const names = Array.from({ length: targets }, (_, i) => ({
    provider: "main",
    model: `m${i}`,
    weight: 1,
    priority: 0,
  }));
  const model: ModelConfig = { targets: names, strategy: "priority", attempts };
  const snapshot = snapshotOf({ models: { several: model }, retries: { ...RETRIES, ...retries } });
  const exchange = exchangeOf({ snapshot });
  const route = snapshot.routes.get("several");
  if (route === undefined) throw new Error("the route is not there");
  exchange.route = route;
  exchange.choice = route.choices[0] ?? null;
  exchange.target = route.target;
  exchange.attempts = 1;
  return exchange;
}

/** Fails until there is no more: the models that were tried, and the pauses before them. */
function tries(exchange: Exchange, chance: () => number, retryAfterMs = 0): (string | number)[] {
  const retrier = new Retrier(chance);
  const seen: (string | number)[] = [];
  for (;;) {
    const pauseMs = retrier.next(exchange, 1, retryAfterMs, 1_000, 1e12);
    if (pauseMs === NO_MORE) return seen;
    seen.push(pauseMs, exchange.target?.upstreamModel ?? "none");
    exchange.attempts += 1;
  }
}

test("each target once at once, then all of them again after a pause that doubles", () => {
  deepStrictEqual(
    tries(routed(2, 6), () => 1 - 1e-9).map((one) => (typeof one === "number" ? Math.round(one) : one)),
    [...[0, "m1"], ...[100, "m0", 0, "m1"], ...[200, "m0", 0, "m1"]],
  );
});

test("no more than attempts, whatever is left", () => {
  deepStrictEqual(
    tries(routed(3, 2), () => 0),
    [0, "m1"],
  );
  deepStrictEqual(
    tries(routed(1, 1), () => 0),
    [],
  );
});

test("a failure that is not wanted is the answer", () => {
  deepStrictEqual(
    tries(routed(2, 2, { failures: ANY & ~1 }), () => 0),
    [],
  );
});

test("a provider's Retry-After is waited for, and one beyond the longest pause or the deadline is not", () => {
  deepStrictEqual(
    tries(routed(1, 2), () => 0, 700),
    [700, "m0"],
  );
  deepStrictEqual(
    tries(routed(1, 2), () => 0, 60_001),
    [],
  );
  deepStrictEqual(
    tries(routed(1, 2, { pauseMaxMs: 1e9 }), () => 0, 59_000),
    [],
  );
});

test("a request that gave itself less time has no try after it", () => {
  const within = (totalMs: number) => {
    const exchange = routed(1, 2);
    exchange.totalMs = totalMs;
    return tries(exchange, () => 0, 100);
  };
  deepStrictEqual([within(1_101), within(1_100)], [[100, "m0"], []]);
});

test("a connection that turned out to be closed is no try", () => {
  const exchange = routed(1, 2);
  exchange.attempts = 2;
  exchange.replayed = true;
  deepStrictEqual(
    tries(exchange, () => 0),
    [1, "m0"],
  );
});

test("pauses are spread over all that they may be, and never longer, for any seed", () => {
  for (let seed = 1; seed <= 50; seed += 1) {
    const random = new Random(seed);
    const pauses = tries(routed(1, 8, { pauseMaxMs: 1_000, budgetMin: 100 }), () => random.unit()).filter(
      (one) => typeof one === "number",
    );
    strictEqual(pauses.length, 7);
    const fits = pauses.every((pause, i) => pause >= 1 && pause <= Math.min(1_000, 100 * 2 ** i));
    ok(fits, `seed ${seed}: ${pauses}`);
  }
});

const provider = await ScriptedProvider.start(() => undefined);
const models = { again: { ...modelOf("main", "m"), attempts: 2 } };
const path = await RequestPath.start(provider, { models, retries: RETRIES });
after(() => {
  path.stop();
  provider.stop();
});
beforeEach(() => {
  provider.received.length = 0;
});

const REQUEST = requestBytes({ body: '{"model":"again"}' });
const limited = (wait: string) => `HTTP/1.1 429 Too Many\r\n${wait}content-length: 2\r\n\r\n{}`;

test("a client that leaves during a pause ends it: nothing more is tried", async () => {
  const before = provider.bytesTotal;
  provider.script = (socket) => socket.write(limited("retry-after: 30\r\n"));
  const client = await RawClient.connect(path.port);
  await client.send(REQUEST);
  await until("the provider has answered", () => provider.bytesTotal > before);
  await until("its connection is closed", () =>
    provider.sockets.every((socket) => socket.destroyed || socket.readableEnded),
  );
  strictEqual(path.pipeline.inFlight, 1);
  client.leave();
  await until("nothing is in flight", () => path.pipeline.inFlight === 0);
  const { status, attempts } = path.records().at(-1) ?? {};
  deepStrictEqual([status, attempts], [499, 1]);
});

test("after the pause that the provider wants, the same target answers", async () => {
  let asked = 0;
  provider.script = (socket) => {
    asked += 1;
    socket.write(asked === 1 ? limited("retry-after-ms: 40\r\n") : "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
  };
  const client = await RawClient.connect(path.port);
  const { status, complete } = await client.ask(REQUEST);
  deepStrictEqual([status, complete, asked], [200, true, 2]);
  strictEqual(path.records().at(-1)?.attempts, 2);
  client.leave();
});

test("a provider that wants a longer one is left alone, and its answer is the client's", async () => {
  provider.script = (socket) => socket.write(limited("retry-after: 61\r\n"));
  const client = await RawClient.connect(path.port);
  const answer = await client.ask(REQUEST);
  deepStrictEqual([answer.status, headerOf(answer, "retry-after")], [429, "61"]);
  match(answer.body.toString(), /^\{\}$/);
  strictEqual(path.records().at(-1)?.attempts, 1);
  client.leave();
});

test("a try that follows one which failed before it was sent ends with its client", async () => {
  const held = await ScriptedProvider.start(() => undefined);
  const one = await RequestPath.start(held, {
    models: { again: { ...modelOf("main", "m"), attempts: 32 } },
    retries: { ...RETRIES, pauseMs: 1, pauseMaxMs: 30, budgetMin: 1_000 },
    bounds: {
      bodyBytes: 1_024,
      bodyBytesInFlight: 8_192,
      jsonDepth: 64,
      connectionsPerProvider: 1,
      queuePerProvider: 0,
    },
  });
  const [first, second] = [await RawClient.connect(one.port), await RawClient.connect(one.port)];
  await first.send(REQUEST);
  await until("the provider has the first", () => held.sockets.length === 1 && held.bytesTotal > 0);
  await second.send(REQUEST);
  await until("the second was refused a connection", () => one.pipeline.inFlight === 2);
  held.sockets[0]?.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
  await until("the second is sent on a connection of its own", () => (held.received[1] ?? "").length > 0);
  second.leave();
  await until(
    "the provider is told",
    () => held.sockets[1]?.readableEnded === true || held.sockets[1]?.destroyed === true,
  );
  await until("nothing is in flight", () => one.pipeline.inFlight === 0);
  first.leave();
  one.stop();
  held.stop();
});
