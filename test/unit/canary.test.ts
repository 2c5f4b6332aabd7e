/** A canary on the whole request path: what fails there is answered by the stable side, and counted for whom it says something about. */
import { deepEqual, equal, ok } from "node:assert/strict";
import type { Socket } from "node:net";
import { after, test } from "node:test";
import type { ArmsConfig } from "../../src/config/arm.ts";
import type { ModelConfig } from "../../src/config/model.ts";
import type { HedgeRules } from "../../src/config/snapshot.ts";
import { ARM_AT, ARM_LATENCIES } from "../../src/shm/arms.ts";
import { KIND_REQUEST } from "../../src/telemetry/record.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { configOf, modelOf, providerConfig, RequestPath, ScriptedProvider } from "../support/request-path.ts";
import { until } from "../support/until.ts";

const REQUEST = requestBytes({ body: '{"model":"tried"}' });
const GOOD = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

function answerOf(status: number): string {
  return `HTTP/1.1 ${status} Oops\r\ncontent-length: 2\r\n\r\n{}`;
}

const canary = await ScriptedProvider.start(() => {});
const stable = await ScriptedProvider.start(() => {});
const path = await RequestPath.start(canary);
after(() => {
  path.stop();
  canary.stop();
  stable.stop();
});

/** All requests go to the canary, or none. */
function tried(share: number, attempts = 1): ModelConfig {
  const rollback = { errorPercent: 2, latencyPercent: 150, percentile: 95, requests: 100, windowMs: 300_000 };
  const common = { strategy: "priority", count: 1, retries: true } as const;
  const list: ArmsConfig["list"] = [
    { ...common, name: "stable", share: 100 - share, first: 0, attempts },
    { ...common, name: "canary", share, first: 1, attempts: attempts + 1 },
  ];
  const targets = [...modelOf("stable", "m").targets, ...modelOf("main", "n").targets];
  return { targets, strategy: "priority", attempts, arms: { sticky: "none", header: "", list, rollback } };
}

/** With counts that begin anew. */
async function begin(share: number, attempts = 1, failures = 5, hedge?: HedgeRules): Promise<void> {
  const providers = { main: providerConfig(canary.port), stable: providerConfig(stable.port) };
  const breaker = {
    enabled: true,
    failures,
    errorPercent: 100,
    requests: 1_000,
    windowMs: 10_000,
    cooldownMs: 60_000,
    cooldownMaxMs: 60_000,
  };
  await path.reload(
    configOf(providers, path.dataDir, { models: { tried: { ...tried(share, attempts), hedge } }, breaker }),
  );
}

interface Counts {
  readonly requests: number;
  readonly judged: number;
  readonly failed: number;
  readonly passed: number;
}

function countsOf(place: number): Counts {
  const words = path.pipeline.snapshot.routes.get("tried")?.arms?.routes[place]?.arm?.words ?? new Int32Array(0);
  const latencies = words.subarray(ARM_AT.latencies, ARM_AT.latencies + ARM_LATENCIES);
  const count = (at: number) => words[at] ?? 0;
  return {
    requests: count(ARM_AT.requests),
    judged: count(ARM_AT.judged),
    failed: count(ARM_AT.failed),
    passed: latencies.reduce((sum, one) => sum + one, 0),
  };
}

async function ask(): Promise<number> {
  const client = await RawClient.connect(path.port);
  const { status } = await client.ask(REQUEST);
  client.leave();
  return status;
}

function script(ofCanary: string, ofStable = GOOD): void {
  canary.script = (socket) => (ofCanary === "" ? socket.destroy() : socket.write(ofCanary));
  stable.script = (socket) => socket.write(ofStable);
}

test("an answer of the canary's is the client's, and counted as one", async () => {
  script(GOOD, answerOf(500));
  await begin(100);
  equal(await ask(), 200);
  deepEqual(countsOf(1), { requests: 1, judged: 1, failed: 0, passed: 1 });
  equal(path.records().at(-1)?.upstreamModel, "n");
});

for (const [name, answer] of [
  ["500", answerOf(500)],
  ["429", answerOf(429)],
  ["401", answerOf(401)],
  ["no answer", ""],
] as const) {
  test(`${name} of the canary's: the stable side answers, and it is counted as failed`, async () => {
    script(answer);
    await begin(100);
    equal(await ask(), 200);
    deepEqual(countsOf(1), { requests: 1, judged: 1, failed: 1, passed: 0 });
    deepEqual(countsOf(0), { requests: 0, judged: 0, failed: 0, passed: 0 });
    const last = path.records().at(-1);
    deepEqual([last?.attempts, last?.upstreamModel, last?.provider], [2, "m", "stable"]);
  });
}

test("a request that only the canary calls wrong is answered by the stable side, and counted as failed", async () => {
  script(answerOf(404));
  await begin(100);
  equal(await ask(), 200);
  deepEqual(countsOf(1), { requests: 1, judged: 1, failed: 1, passed: 0 });
});

test("a request that both call wrong says nothing about the canary", async () => {
  script(answerOf(400), answerOf(400));
  await begin(100);
  equal(await ask(), 400);
  deepEqual(countsOf(1), { requests: 1, judged: 0, failed: 0, passed: 0 });
});

test("a canary is asked once, however often the stable side is tried", async () => {
  script(answerOf(500), answerOf(500));
  await begin(100, 3);
  const before = canary.bytesTotal;
  equal(await ask(), 500);
  equal(path.records().at(-1)?.attempts, 4);
  const requests = canary.received.map((bytes) => bytes.toString().split("POST ").length - 1);
  ok(canary.bytesTotal > before);
  const ofLast = requests.reduce((sum, count) => sum + count, 0);
  await ask();
  const again = canary.received.map((bytes) => bytes.toString().split("POST ").length - 1);
  equal(
    again.reduce((sum, count) => sum + count, 0),
    ofLast + 1,
  );
});

test("the stable side is counted by its first try, whatever came of the request", async () => {
  script(GOOD);
  let answers = [answerOf(500), GOOD];
  stable.script = (socket) => socket.write(answers.shift() ?? GOOD);
  await begin(0, 2);
  equal(await ask(), 200);
  deepEqual(countsOf(0), { requests: 1, judged: 1, failed: 1, passed: 0 });
  answers = [answerOf(400)];
  equal(await ask(), 400);
  deepEqual(countsOf(0), { requests: 2, judged: 1, failed: 1, passed: 0 });
  equal(await ask(), 200);
  deepEqual(countsOf(0), { requests: 3, judged: 2, failed: 1, passed: 1 });
});

test("an answer that breaks off is a failure", async () => {
  canary.script = (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}");
  await begin(100);
  const client = await RawClient.connect(path.port);
  await client.send(REQUEST);
  await until("it is counted", () => countsOf(1).judged === 1 || undefined);
  client.leave();
  deepEqual(countsOf(1), { requests: 1, judged: 1, failed: 1, passed: 0 });
});

test("a client that leaves before its answer: it took at least as long", async () => {
  const seen: unknown[] = [];
  canary.script = (socket) => seen.push(socket);
  await begin(100);
  const client = await RawClient.connect(path.port);
  await client.send(REQUEST);
  await until("it is asked", () => seen.length > 0 || undefined);
  client.leave();
  await until("it is counted", () => countsOf(1).judged === 1 || undefined);
  deepEqual(countsOf(1), { requests: 1, judged: 1, failed: 0, passed: 1 });
});

test("requests that the breaker of a failing canary keeps from it count as failed", async () => {
  script(answerOf(500));
  await begin(100, 1, 3);
  for (let i = 0; i < 6; i += 1) equal(await ask(), 200);
  deepEqual(countsOf(1), { requests: 6, judged: 6, failed: 6, passed: 0 });
  equal(path.records().at(-1)?.attempts, 1);
});

test("a canary that a provider wants to be left alone is not counted", async () => {
  script("HTTP/1.1 429 Slow\r\nretry-after: 60\r\ncontent-length: 2\r\n\r\n{}");
  await begin(100);
  for (let i = 0; i < 4; i += 1) equal(await ask(), 200);
  deepEqual(countsOf(1), { requests: 4, judged: 1, failed: 1, passed: 0 });
});

test("after the rollback its requests are the stable side's", async () => {
  script(answerOf(500));
  await begin(50);
  const words = path.pipeline.snapshot.routes.get("tried")?.arms?.routes[1]?.arm?.words;
  if (words === undefined) throw new Error("there is no canary");
  words[ARM_AT.gate] = 1;
  const before = canary.bytesTotal;
  for (let i = 0; i < 20; i += 1) equal(await ask(), 200);
  equal(canary.bytesTotal, before);
  deepEqual(countsOf(0), { requests: 20, judged: 20, failed: 0, passed: 20 });
});

const HEDGE: HedgeRules = { afterMs: 30, percentMax: 100, inFlightMax: 5 };

test("a canary that a hedge at the stable side outruns took at least as long as that", async () => {
  script(GOOD);
  canary.script = () => {};
  await begin(100, 1, 5, HEDGE);
  equal(await ask(), 200);
  deepEqual(countsOf(1), { requests: 1, judged: 1, failed: 0, passed: 1 });
  equal(path.records().findLast(({ kind }) => kind === KIND_REQUEST)?.upstreamModel, "m");
});

test("a canary that fails beside a hedge has failed", async () => {
  const held: Socket[] = [];
  canary.script = (socket) => held.push(socket);
  stable.script = (socket) => {
    for (const other of held.splice(0)) other.resetAndDestroy();
    void until("it is counted", () => countsOf(1).failed === 1 || undefined).then(() => socket.write(GOOD));
  };
  await begin(100, 1, 5, HEDGE);
  equal(await ask(), 200);
  deepEqual(countsOf(1), { requests: 1, judged: 1, failed: 1, passed: 0 });
});
