/** Requests that wait for a rate limit, in the real program with two workers: what clients see, and what becomes of them when they or the gateway leave. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { type ConfigForm, hashOf, KEY, standardConfig } from "../support/config.ts";
import { type Answer, ask, errorOf, open } from "../support/http-client.ts";
import { startStage } from "../support/stage.ts";
import { until } from "../support/until.ts";
import { readRecords } from "../support/usage-db.ts";

const KEYS = ["steady", "one", "left", "late", "users", "restart"] as const;
type Key = (typeof KEYS)[number];

const { sluice, upstream } = await startStage((provider): ConfigForm => {
  const keys = KEYS.map((name, priority) => ({ name, hash: hashOf(secretOf(name)), priority }));
  return {
    ...standardConfig(provider),
    workers: 2,
    keys: [{ name: "default", hash: hashOf(KEY) }, ...keys],
    rate_limits: [
      { name: "steady", scope: ["key"], keys: ["steady"], requests: "20/s", burst: 1 },
      { name: "one", scope: ["key"], keys: ["one", "left", "late", "restart"], concurrency: 1 },
      { name: "users", scope: ["user"], keys: ["users"], requests: "1/day" },
    ],
    rate_limit_queue: { max_wait: "20s", max_requests: 30 },
    user_header: "X-User-Id",
  };
});

function secretOf(name: Key): string {
  return `sk-of-${name}`;
}

const CHAT = { model: "gpt-4o", messages: [{ role: "user", content: "Say it." }] };

function asked(name: Key, fault = "", more: Readonly<Record<string, string>> = {}) {
  // A connection each: both workers get some.
  const headers = { authorization: `Bearer ${secretOf(name)}`, "x-mock": fault, connection: "close", ...more };
  return { body: CHAT, headers };
}

function chat(name: Key, more: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return ask(sluice, "/chat/completions", asked(name, "", more));
}

async function waiting(count: number): Promise<void> {
  await until(`${count} wait`, async () => (await sluice.metric("sluice_limit_queue_requests")) === count);
}

test("what is too much at once is answered when there is room for it, at the limit's rate and no faster", async () => {
  const beganMs = performance.now();
  const answers = await Promise.all(Array.from({ length: 21 }, () => chat("steady")));
  const tookMs = performance.now() - beganMs;
  deepStrictEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  ok(tookMs >= 990, `${tookMs} ms for 20 at 20 per second`);
  strictEqual((await upstream.journal()).requestsTotal, 21);
  const admitted = await sluice.metric("sluice_limit_queue_admitted_total");
  ok(admitted >= 18);
  const waits = "sluice_limit_queue_wait_seconds";
  strictEqual(await sluice.metric(`${waits}_count`), admitted);
  strictEqual(await sluice.metric(`${waits}_bucket`, { le: "+Inf" }), admitted);
  const [short, long] = [{ le: "0.262144" }, { le: "67.108864" }];
  strictEqual(await sluice.metric(`${waits}_bucket`, long), admitted);
  ok((await sluice.metric(`${waits}_bucket`, short)) < admitted, "some waited for longer than a quarter of a second");
  ok((await sluice.metric(`${waits}_sum`)) > 5);
  const decisions = await Promise.all(
    answers.map(async ({ requestId }) => (await sluice.recordOf(requestId)).decision),
  );
  strictEqual(decisions.filter((decision) => /^waited=steady:\d+ms$/.test(decision)).length, admitted);
  ok(answers.some(({ headers }) => /, queue;dur=\d/.test(headers.get("server-timing") ?? "")));
  strictEqual(await sluice.metric("sluice_limit_rejections_total", { limit: "steady", quantity: "requests" }), 0);
});

test("a permit is taken by one at a time over both workers, and each of those that wait gets it", async () => {
  const first = await open(sluice, "/chat/completions", asked("one", "hold=one"));
  const others = Array.from({ length: 8 }, () => chat("one"));
  await waiting(8);
  const { text } = await sluice.command("explain", "--key", "one", "--model", "gpt-4o", "--json");
  const { queue, refusal } = JSON.parse(text);
  deepStrictEqual([queue.limit, queue.waitMs, queue.ahead], ["one", 20_000, queue.requests]);
  deepStrictEqual([queue.maxRequests, refusal.code, refusal.waitMs], [30, "rate_limit_exceeded", 20_000]);
  strictEqual((await upstream.journal()).requestsTotal, 1);
  await upstream.open("one");
  await first.text();
  deepStrictEqual(new Set((await Promise.all(others)).map(({ status }) => status)), new Set([200]));
  strictEqual((await upstream.journal()).requestsTotal, 9);
});

test("who leaves while it waits takes no permit, and reaches no provider", async () => {
  const first = await open(sluice, "/chat/completions", asked("left", "hold=left"));
  const leaver = new AbortController();
  const left = Array.from({ length: 5 }, () =>
    open(sluice, "/chat/completions", { ...asked("left"), signal: leaver.signal }).then(
      () => "answered",
      () => "left",
    ),
  );
  await waiting(5);
  leaver.abort();
  deepStrictEqual(await Promise.all(left), Array(5).fill("left"));
  await waiting(0);
  await until("they are counted as dropped", async () => {
    return (await sluice.metric("sluice_limit_queue_dropped_total", { reason: "client_gone" })) === 5;
  });
  await upstream.open("left");
  await first.text();
  strictEqual((await chat("left")).status, 200);
  strictEqual((await upstream.journal()).requestsTotal, 2);
  const records = await until("their records are stored", () => {
    const rows = readRecords(sluice.dataDir).filter(({ error }) => error === "client_aborted");
    return rows.length >= 5 ? rows : undefined;
  });
  deepStrictEqual(
    records.map(({ decision }) => decision.replace(/\d+/, "N")),
    Array(5).fill("waited=one:Nms"),
  );
});

test("who has waited as long as it wants to is refused as without a queue", async () => {
  const first = await open(sluice, "/chat/completions", asked("late", "hold=late"));
  const answer = await chat("late", { "x-sluice-queue-ms": "200" });
  deepStrictEqual([answer.status, errorOf(answer)["code"]], [429, "rate_limit_exceeded"]);
  ok(Number(answer.headers.get("retry-after-ms")) > 0);
  match((await sluice.recordOf(answer.requestId)).decision, /^waited=one:\d+ms;limit=one$/);
  strictEqual((await chat("late", { "x-sluice-queue-ms": "0" })).status, 429);
  strictEqual(await sluice.metric("sluice_limit_queue_dropped_total", { reason: "deadline" }), 1);
  await upstream.open("late");
  await first.text();
});

test("users are named by the header, before the body's field", async () => {
  const user = (name: string) => chat("users", { "x-user-id": name });
  deepStrictEqual([(await user("a")).status, (await user("b")).status, (await user("a")).status], [200, 200, 429]);
  const body = { ...CHAT, user: "c" };
  const both = await ask(sluice, "/chat/completions", { ...asked("users", "", { "x-user-id": "b" }), body });
  strictEqual(both.status, 429);
  strictEqual((await ask(sluice, "/chat/completions", { ...asked("users"), body })).status, 200);
  strictEqual((await user("c")).status, 429);
});

test("a restart leaves nobody who waits without an answer", async () => {
  const first = await open(sluice, "/chat/completions", asked("restart", "hold=restart"));
  const others = Array.from({ length: 6 }, () => chat("restart"));
  await waiting(6);
  strictEqual((await sluice.command("restart")).code, 0);
  await upstream.open("restart");
  await first.text();
  deepStrictEqual(new Set((await Promise.all(others)).map(({ status }) => status)), new Set([200]));
});
