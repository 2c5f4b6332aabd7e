/** A second attempt beside a slow one: every order in which the two can end, what the client gets, and what is booked. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import type { HedgeRules } from "../../src/config/snapshot.ts";
import { scansOpen } from "../../src/providers/response-scan.ts";
import { BREAKER_AT } from "../../src/shm/breakers.ts";
import { COUNTER, HEDGES, HEDGES_WON } from "../../src/shm/layout.ts";
import { KIND_HEDGE, KIND_REQUEST, KIND_TRY } from "../../src/telemetry/record.ts";
import { Random } from "../fuzz/random.ts";
import { FarEnd, type Seen } from "../support/far-end.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { configOf, providerConfig, RequestPath } from "../support/request-path.ts";
import { until } from "../support/until.ts";

const EVENT = 'data: {"choices":[{"index":0,"delta":{"content":"NAME"}}]}\n\ndata: [DONE]\n\n';
const JSON_TYPE = { "content-type": "application/json" };
const STREAM_TYPE = { "content-type": "text/event-stream" };

const fars = await Promise.all([FarEnd.start(false), FarEnd.start(false), FarEnd.start(false)]);
const [a, b, c] = fars as [FarEnd, FarEnd, FarEnd];

function model(providers: readonly string[], hedge: Partial<HedgeRules> = {}) {
  return {
    targets: providers.map((provider) => ({ provider, model: `${provider}-model`, weight: 1, priority: 0 })),
    strategy: "priority" as const,
    attempts: providers.length,
    hedge: { afterMs: 1, percentMax: 100, inFlightMax: 20, ...hedge },
  };
}

const far = ({ url }: FarEnd) => providerConfig(0, { baseUrl: `${url}/v1` });
const BOUNDS = {
  ...{ bodyBytes: 1_048_576, bodyBytesInFlight: 8_388_608, jsonDepth: 64 },
  ...{ connectionsPerProvider: 100, queuePerProvider: 100 },
};
const CHANGES = {
  bounds: BOUNDS,
  providers: { a: far(a), b: far(b), c: far(c) },
  passthrough: null,
  keys: configOf({}, "").keys.slice(0, 1),
  models: {
    two: model(["a", "b"]),
    three: model(["a", "b", "c"]),
    rare: model(["a", "b"], { percentMax: 1 }),
    single: model(["a", "b"], { inFlightMax: 1 }),
    learned: model(["a", "b"], { afterMs: null }),
  },
};
const TIMEOUTS = {
  ...{ connectMs: 60_000, firstByteMs: 60_000, idleMs: 60_000, totalMs: 60_000 },
  ...{ queueMs: 60_000, stallMs: 60_000, drainMs: 2_000, upstreamKeepAliveMs: 10_000 },
};
const path = await RequestPath.start({ port: 0 }, CHANGES);
after(() => {
  path.stop();
  for (const one of fars) one.stop();
});

let recordsBefore = 0;
let triesBefore: number[] = [];
beforeEach(() => {
  recordsBefore = path.records().length;
  triesBefore = failures();
  for (const one of fars) {
    one.seen = [];
    one.script = FarEnd.read;
  }
});

/** That the breakers of the three were told of, those of all models together. */
function failures(): number[] {
  const choices = [...path.pipeline.snapshot.routes.values()].flatMap((route) => route.choices);
  const of = (name: string) => choices.filter(({ target }) => target.provider.name === name);
  return ["a", "b", "c"].map((name) =>
    of(name).reduce((sum, { state }) => sum + (state.breaker[BREAKER_AT.failures] ?? 0), 0),
  );
}

function newFailures(): number[] {
  return failures().map((count, index) => count - (triesBefore[index] ?? 0));
}

async function asked(alias: string, stream = false): Promise<RawClient> {
  const client = await RawClient.connect(path.port);
  await client.send(
    requestBytes({ body: `{"model":"${alias}","stream":${stream},"messages":[{"content":"Say it."}]}` }),
  );
  return client;
}

async function at(end: FarEnd): Promise<Seen> {
  return until("a provider has the request", () => {
    const seen = end.seen[0];
    return seen !== undefined && seen.bytes >= Number(seen.request.headers["content-length"]) ? seen : undefined;
  });
}

/** A request that two have. */
async function hedged(alias: string, stream = false): Promise<{ client: RawClient; first: Seen; second: Seen }> {
  const client = await asked(alias, stream);
  return { client, first: await at(a), second: await at(b) };
}

function answer({ response }: Seen, name: string, status = 200): void {
  response.writeHead(status, JSON_TYPE).end(`{"from":"${name}"}`);
}

function stream({ response }: Seen, name: string): void {
  response.writeHead(200, STREAM_TYPE).end(EVENT.replace("NAME", name));
}

async function told(seen: Seen): Promise<void> {
  await until("it is cancelled", () => seen.cancelled);
}

async function answered(client: RawClient, status: number, text: RegExp): Promise<void> {
  const response = await client.response();
  strictEqual(response?.status, status);
  match(response.body.toString(), text);
  client.leave();
}

/** Kinds and providers of what was booked since the test began; nothing is left behind. */
async function booked(): Promise<(string | number)[][]> {
  await until("nothing is in flight", () => path.pipeline.inFlight === 0);
  strictEqual(scansOpen(), 0);
  for (const { choices } of path.pipeline.snapshot.routes.values())
    deepStrictEqual(
      [...choices].map(({ state }) => state.inFlight.count),
      choices.map(() => 0),
    );
  return path
    .records()
    .slice(recordsBefore)
    .map(({ kind, provider, attempts }) => [kind, provider, attempts]);
}

test("the first answers after all: the hedge is cancelled, and paid", async () => {
  const { client, first, second } = await hedged("two");
  answer(first, "a");
  await answered(client, 200, /"from":"a"/);
  await told(second);
  deepStrictEqual(await booked(), [
    [KIND_HEDGE, "b", 2],
    [KIND_REQUEST, "a", 2],
  ]);
  deepStrictEqual(newFailures(), [0, 0, 0]);
});

test("the hedge answers: the first is cancelled, and paid", async () => {
  const { client, first, second } = await hedged("two");
  answer(second, "b");
  await answered(client, 200, /"from":"b"/);
  await told(first);
  deepStrictEqual(await booked(), [
    [KIND_HEDGE, "a", 2],
    [KIND_REQUEST, "b", 2],
  ]);
  deepStrictEqual(newFailures(), [0, 0, 0]);
});

test("each is asked for its own model, with all of the body", async () => {
  const bodies: string[] = [];
  for (const [index, one] of [a, b].entries())
    one.script = (seen) => {
      FarEnd.read(seen);
      seen.request.on("data", (bytes: Buffer) => {
        bodies[index] = bytes.toString();
      });
    };
  const { client, second } = await hedged("two", true);
  stream(second, "b");
  await answered(client, 200, /"b"/);
  for (const [index, name] of ["a", "b"].entries()) {
    const { model: asked, messages, stream_options } = JSON.parse(bodies[index] ?? "");
    deepStrictEqual(
      [asked, messages, stream_options],
      [`${name}-model`, [{ content: "Say it." }], { include_usage: true }],
    );
  }
  await booked();
});

test("a stream is answered by its first event: neither its head nor a comment counts", async () => {
  a.script = (seen) => {
    FarEnd.read(seen);
    seen.response.writeHead(200, STREAM_TYPE);
    seen.response.write(": wait\n\n");
  };
  const { client, first, second } = await hedged("two", true);
  second.response.writeHead(200, STREAM_TYPE);
  second.response.write(": wait\n\n");
  second.response.write(EVENT.replace("NAME", "b"));
  second.response.end("");
  await told(first);
  await answered(client, 200, /^: wait\n\ndata: .*"b"/);
  deepStrictEqual(await booked(), [
    [KIND_HEDGE, "a", 2],
    [KIND_REQUEST, "b", 2],
  ]);
});

test("a stream whose first event comes while a hedge has its head goes on", async () => {
  const { client, first, second } = await hedged("two", true);
  second.response.writeHead(200, STREAM_TYPE);
  second.response.write(": wait\n\n");
  stream(first, "a");
  await answered(client, 200, /"a"/);
  await told(second);
  deepStrictEqual(await booked(), [
    [KIND_HEDGE, "b", 2],
    [KIND_REQUEST, "a", 2],
  ]);
});

test("the first fails while the hedge runs: that is the try, and no third one begins", async () => {
  const { client, first, second } = await hedged("three");
  answer(first, "a", 500);
  await until("the failure is seen", () => newFailures()[0] === 1);
  answer(second, "b");
  await answered(client, 200, /"from":"b"/);
  deepStrictEqual(await booked(), [[KIND_REQUEST, "b", 2]]);
  deepStrictEqual([newFailures(), c.seen.length], [[1, 0, 0], 0]);
});

test("the hedge fails, then the first answers", async () => {
  for (const fail of [(seen: Seen) => answer(seen, "b", 500), ({ request }: Seen) => request.socket.destroy()]) {
    b.seen = [];
    a.seen = [];
    const before = newFailures()[1] ?? 0;
    const { client, first, second } = await hedged("three");
    fail(second);
    await until("the failure is seen", () => newFailures()[1] === before + 1);
    answer(first, "a");
    await answered(client, 200, /"from":"a"/);
    strictEqual(c.seen.length, 0);
  }
  deepStrictEqual(await booked(), [
    [KIND_REQUEST, "a", 2],
    [KIND_REQUEST, "a", 2],
  ]);
});

test("both fail, in either order: the next target has it, or the client the last failure", async () => {
  for (const order of [0, 1]) {
    for (const one of fars) one.seen = [];
    const three = await hedged("three");
    const [early, late] = order === 0 ? [three.first, three.second] : [three.second, three.first];
    const before = newFailures();
    answer(early, "x", 500);
    await until("the failure is seen", () => newFailures()[order] === (before[order] ?? 0) + 1);
    answer(late, "y", 500);
    answer(await at(c), "c");
    await answered(three.client, 200, /"from":"c"/);
    for (const one of fars) one.seen = [];
    const two = await hedged("two");
    answer(order === 0 ? two.first : two.second, "x", 500);
    await until("the failure is seen", () => newFailures()[order] === (before[order] ?? 0) + 2);
    answer(order === 0 ? two.second : two.first, "last", 503);
    await answered(two.client, 503, /"from":"last"/);
  }
  strictEqual((await booked()).filter(([kind]) => kind !== KIND_REQUEST).length, 0);
});

test("a stream that ends before its first event leaves the hedge", async () => {
  const { client, first, second } = await hedged("two", true);
  first.response.writeHead(200, STREAM_TYPE).end("");
  await until("the failure is seen", () => newFailures()[0] === 1);
  stream(second, "b");
  await answered(client, 200, /"b"/);
  deepStrictEqual(await booked(), [
    [KIND_TRY, "a", 2],
    [KIND_REQUEST, "b", 2],
  ]);
});

test("the first runs into its deadline while the hedge runs: that is the try, and what may be billed is booked", async () => {
  const short = await RequestPath.start({ port: 0 }, { ...CHANGES, timeouts: { ...TIMEOUTS, firstByteMs: 600 } });
  const client = await RawClient.connect(short.port);
  await client.send(requestBytes({ body: '{"model":"two"}' }));
  const [, second] = [await at(a), await at(b)];
  await until("the first is over", () => short.records().length > 0);
  answer(second, "b");
  await answered(client, 200, /"from":"b"/);
  deepStrictEqual(
    short.records().map(({ kind, provider }) => [kind, provider]),
    [
      [KIND_TRY, "a"],
      [KIND_REQUEST, "b"],
    ],
  );
  short.stop();
});

test("the total deadline ends both", async () => {
  const short = await RequestPath.start({ port: 0 }, { ...CHANGES, timeouts: { ...TIMEOUTS, totalMs: 600 } });
  const client = await RawClient.connect(short.port);
  await client.send(requestBytes({ body: '{"model":"two"}' }));
  const [first, second] = [await at(a), await at(b)];
  await answered(client, 504, /"upstream_total_timeout"/);
  await told(first);
  await told(second);
  deepStrictEqual(
    short.records().map(({ kind, provider }) => [kind, provider]),
    [
      [KIND_HEDGE, "b"],
      [KIND_REQUEST, "a"],
    ],
  );
  short.stop();
});

test("the total deadline comes before a hedge that is due later", async () => {
  const late = {
    ...CHANGES,
    timeouts: { ...TIMEOUTS, totalMs: 300 },
    models: { two: model(["a", "b"], { afterMs: 60_000 }) },
  };
  const short = await RequestPath.start({ port: 0 }, late);
  const client = await RawClient.connect(short.port);
  await client.send(requestBytes({ body: '{"model":"two"}' }));
  const first = await at(a);
  await answered(client, 504, /"upstream_total_timeout"/);
  await told(first);
  deepStrictEqual(
    short.records().map(({ kind, provider }) => [kind, provider]),
    [[KIND_REQUEST, "a"]],
  );
  short.stop();
});

test("a hedge's stream that is empty, or breaks, is no answer", async () => {
  const { client, first, second } = await hedged("two", true);
  second.response.writeHead(200, STREAM_TYPE).end("");
  await until("it is over", () => second.response.writableEnded && path.records().length > recordsBefore);
  stream(first, "a");
  await answered(client, 200, /"a"/);
  deepStrictEqual(await booked(), [
    [KIND_TRY, "b", 2],
    [KIND_REQUEST, "a", 2],
  ]);
});

test("a client that leaves ends both, and both are paid", async () => {
  const { client, first, second } = await hedged("two", true);
  client.leave();
  await told(first);
  await told(second);
  deepStrictEqual(await booked(), [
    [KIND_HEDGE, "b", 2],
    [KIND_REQUEST, "a", 2],
  ]);
  strictEqual(path.records().at(-1)?.error, ERRORS.clientAborted.number);
  deepStrictEqual(newFailures(), [0, 0, 0]);
});

test("an answer that is no failure is the answer, also of the hedge", async () => {
  const { client, first, second } = await hedged("two");
  answer(second, "b", 400);
  await answered(client, 400, /"from":"b"/);
  await told(first);
  await booked();
});

test("no more than their share, and no more at a time, are hedged", async () => {
  const rare = [await asked("rare"), await asked("rare"), await asked("rare")];
  await at(b);
  await until("all are there", () => a.seen.length === 3);
  for (const seen of a.seen) answer(seen, "a");
  for (const client of rare) await answered(client, 200, /./);
  strictEqual(b.seen.length, 1);
  await booked();
  for (const one of fars) one.seen = [];
  const single = [await asked("single"), await asked("single")];
  await at(b);
  await until("both are there", () => a.seen.length === 2);
  for (const seen of a.seen) answer(seen, "a");
  for (const client of single) await answered(client, 200, /./);
  strictEqual(b.seen.length, 1);
  await booked();
});

test("what is usual for a target is learned: nothing is hedged before, and what takes longer is then", async () => {
  a.script = (seen) => {
    FarEnd.read(seen);
    seen.request.on("end", () => answer(seen, "a"));
  };
  const client = await RawClient.connect(path.port);
  const whole = requestBytes({ body: '{"model":"learned"}' });
  for (let i = 0; i < 60; i += 1) strictEqual((await client.ask(whole)).status, 200);
  client.leave();
  strictEqual(b.seen.length, 0);
  a.seen = [];
  a.script = FarEnd.read;
  const slow = await hedged("learned");
  answer(slow.second, "b");
  await answered(slow.client, 200, /"from":"b"/);
  await booked();
});

/** What a provider does with a request, by chance. */
function anything(random: Random): (seen: Seen) => void {
  return (seen) => {
    FarEnd.read(seen);
    const { response, request } = seen;
    const isStream = random.below(2) === 0;
    const acts = [
      () => answer(seen, "x", 200),
      () => answer(seen, "x", 500),
      () => stream(seen, "x"),
      () => request.socket.destroy(),
      () => {
        response.writeHead(200, isStream ? STREAM_TYPE : JSON_TYPE);
        response.write(": wait\n\n");
        setTimeout(() => (random.below(2) === 0 ? request.socket.destroy() : response.end(EVENT)), random.below(100));
      },
    ];
    const act = acts[random.below(acts.length)];
    request.on("end", () => setTimeout(() => act?.(), random.below(250)));
  };
}

/** Recorded since the test began. */
function requests(): number {
  const since = path.records().slice(recordsBefore);
  return since.filter(({ kind }) => kind === KIND_REQUEST).length;
}

test("whatever both do, and whenever: one record of each request, and nothing is left", async () => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1e9);
  const random = new Random(seed);
  a.script = anything(random);
  b.script = anything(random);
  for (let round = 0; round < 5; round += 1) {
    const clients = await Promise.all(Array.from({ length: 40 }, () => asked("two", random.below(2) === 0)));
    for (const client of clients) {
      if (random.below(4) === 0) setTimeout(() => client.leave(), random.below(300));
      else void client.response().finally(() => client.leave());
    }
    await until(`all are over, seed ${seed}`, () => requests() >= 40 * (round + 1));
    await booked();
  }
  strictEqual(requests(), 200, `seed ${seed}`);
  const records = path.records().slice(recordsBefore);
  const ids = Map.groupBy(records, ({ requestId }) => requestId);
  const most = Math.max(...[...ids.values()].map(({ length }) => length));
  strictEqual(most <= 2, true, `seed ${seed}: two attempts leave two records at most`);
  await until("no bytes are reserved", () => path.counters.sum()[COUNTER.gaugeBodyBytesInFlight] === 0);
  a.script = b.script = FarEnd.read;
  a.seen = b.seen = [];
  const { client, second } = await hedged("single");
  answer(second, "b");
  await answered(client, 200, /"from":"b"/);
});

test("hedges are counted, and those that were taken", async () => {
  const sum = path.counters.sum();
  const [hedges = 0, won = 0] = [sum[HEDGES], sum[HEDGES_WON]];
  strictEqual(hedges > won && won > 0, true);
  const { client, second } = await hedged("two");
  answer(second, "b");
  await answered(client, 200, /./);
  const after = path.counters.sum();
  deepStrictEqual([after[HEDGES], after[HEDGES_WON]], [hedges + 1, won + 1]);
  await booked();
});
