/** Budgets of the real program with two workers: what clients see of them, by how much they are exceeded, and what survives what. */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { APIError } from "openai";
import { type ConfigForm, hashOf, KEY, PRICE, standardConfig } from "../support/config.ts";
import { type Answer, ask, errorOf, open } from "../support/http-client.ts";
import { sdkOf, startStage } from "../support/stage.ts";
import { until } from "../support/until.ts";
import type { Upstream } from "../support/upstream.ts";

const KEYS = [
  "daily",
  "crowd",
  "beyond",
  "crash",
  "lost",
  "killed",
  "soft",
  "added",
  "team a",
  "team b",
  "total",
] as const;
type KeyName = (typeof KEYS)[number];

const NANO = 1_000_000_000;
const ZONE = "Europe/Berlin";

const BUDGETS = [
  { name: "day", scope: ["key"], keys: ["daily"], usd: 0.001, per: "day" },
  { name: "crowd", scope: ["key"], keys: ["crowd", "beyond"], usd: 0.002, per: "month", time_zone: ZONE },
  { name: "lasting", scope: ["key"], keys: ["crash", "lost", "killed"], usd: 1, per: "week", time_zone: ZONE },
  { name: "soft", scope: ["key"], keys: ["soft"], tokens: 50, per: "month", mode: "observe", alert_at: [50, 100] },
  { name: "teams", scope: ["team"], tokens: 100, per: "day" },
  { name: "ever", scope: ["key", "model"], keys: ["total"], output_tokens: 20, per: "total" },
];

function configOf(upstream: Upstream, budgets: NonNullable<ConfigForm["budgets"]> = BUDGETS): ConfigForm {
  const team = (name: string) => (name.startsWith("team") ? { team: "both" } : {});
  const keys = KEYS.map((name) => ({ name, hash: hashOf(`sk-of-${name}`), ...team(name) }));
  return {
    ...standardConfig(upstream),
    workers: 2,
    keys: [{ name: "default", hash: hashOf(KEY) }, ...keys],
    budgets,
  };
}

const { sluice, upstream } = await startStage(configOf);

const CHAT = { model: "gpt-4o", max_tokens: 40, messages: [{ role: "user", content: "Say it." }] };

function asked(name: KeyName, fields: object = {}, fault = "") {
  return { body: { ...CHAT, ...fields }, headers: { authorization: `Bearer sk-of-${name}`, "x-mock": fault } };
}

async function chat(name: KeyName, fields: object = {}): Promise<Answer> {
  // A connection each: both workers get some.
  const { body, headers } = asked(name, fields);
  return ask(sluice, "/chat/completions", { body, headers: { ...headers, connection: "close" } });
}

/** Nano-dollars, by the usage that the client was told. */
function costOf({ text }: Answer): number {
  const { prompt_tokens, completion_tokens } = JSON.parse(text).usage;
  const cached = JSON.parse(text).usage.prompt_tokens_details?.cached_tokens ?? 0;
  const { input, cached_input, output } = PRICE;
  return Math.round(((prompt_tokens - cached) * input + cached * cached_input + completion_tokens * output) * 1_000);
}

async function usedUsd(budget: string, subject: string): Promise<number> {
  return sluice.metric("sluice_budget_used", { budget, unit: "usd", subject });
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}

/** Requests one after the other until one is refused; what the others cost. */
async function spend(name: KeyName): Promise<{ cost: number; refused: Answer }> {
  let cost = 0;
  for (let i = 0; i < 100; i += 1) {
    const answer = await chat(name);
    if (answer.status !== 200) return { cost, refused: answer };
    cost += costOf(answer);
  }
  throw new Error("the budget never refused");
}

test("a budget that is used up answers 402, once, and says which one it is", async () => {
  const { cost, refused } = await spend("daily");
  ok(cost > 0 && cost <= 0.001 * NANO, `${cost} nano-dollars`);
  strictEqual(refused.status, 402);
  deepStrictEqual([errorOf(refused)["code"], errorOf(refused)["type"]], ["insufficient_quota", "insufficient_quota"]);
  match(String(errorOf(refused)["message"]), /0\.001 USD per day, UTC \(budget 'day'\)/);
  deepStrictEqual([refused.headers.get("x-should-retry"), refused.headers.get("retry-after")], ["false", null]);
  strictEqual(await usedUsd("day", "daily"), cost / NANO);
  strictEqual(await sluice.metric("sluice_budget_limit", { budget: "day", subject: "daily" }), 0.001);
  strictEqual(await sluice.metric("sluice_budget_reserved", { budget: "day" }), 0);
  strictEqual(await sluice.metric("sluice_budget_rejections_total", { budget: "day", unit: "usd" }), 1);
  strictEqual(await sluice.metric("sluice_limit_rejections_total", { limit: "day" }), 0);
});

test("the official SDK does not ask again", async () => {
  const before = await sluice.metric("sluice_budget_rejections_total", { budget: "day" });
  const sdk = sdkOf(sluice, { apiKey: "sk-of-daily", maxRetries: 5 });
  const asking = sdk.chat.completions.create({ model: "gpt-4o", max_tokens: 40, messages: [] });
  await rejects(asking, (error) => error instanceof APIError && error.code === "insufficient_quota");
  strictEqual(await sluice.metric("sluice_budget_rejections_total", { budget: "day" }), before + 1);
});

/** Fifty requests at a time; of the answered ones, how many and what they cost. */
async function crowd(name: KeyName, fields: object): Promise<{ cost: number; passed: number }> {
  const answers = await Promise.all(Array.from({ length: 50 }, () => chat(name, fields)));
  ok(answers.every(({ status }) => status === 200 || status === 402));
  const costs = answers.filter(({ status }) => status === 200).map(costOf);
  return { cost: sum(costs), passed: costs.length };
}

test("fifty requests at a time over two workers do not exceed a budget, because each reserves what it may cost", async () => {
  const { cost, passed } = await crowd("crowd", {});
  ok(passed >= 2 && passed < 50 && cost <= 0.002 * NANO, `${cost} nano-dollars in ${passed} answers`);
  strictEqual(await usedUsd("crowd", "crowd"), cost / NANO);
});

test("a provider that gives more than it was asked for exceeds a budget by no more than that", async () => {
  const { cost, passed } = await crowd("beyond", { max_tokens: 1 });
  const single = cost / passed;
  const reserved = (3 * PRICE.input + 1 * PRICE.output) * 1_000;
  ok(cost <= 0.002 * NANO + passed * (single - reserved), `${cost} nano-dollars in ${passed} answers`);
  strictEqual((await chat("beyond", { max_tokens: 1 })).status, 402);
});

test("a kill -9 of everything, and a restart, leave what was used", async () => {
  const cost = costOf(await chat("crash")) + costOf(await chat("crash"));
  await sluice.kill();
  await sluice.launch();
  strictEqual(await usedUsd("lasting", "crash"), cost / NANO);
  const more = costOf(await chat("crash"));
  strictEqual((await sluice.command("restart")).code, 0);
  strictEqual(await usedUsd("lasting", "crash"), (cost + more) / NANO);
});

test("without its map a budget begins with what the store and the rings have", async () => {
  const costs = [costOf(await chat("lost")), costOf(await chat("lost"))];
  await sluice.kill();
  await rm(join(sluice.dataDir, "limits.map"));
  await sluice.launch();
  strictEqual(await usedUsd("lasting", "lost"), sum(costs) / NANO);
  strictEqual((await chat("daily")).status, 402);
});

test("what a worker that is killed had reserved stays so: its provider may bill it", async () => {
  const cost = costOf(await chat("killed"));
  const running = await open(sluice, "/chat/completions", asked("killed", { stream: true }, "hold=killed"));
  const end = running.text().catch(() => "cut");
  const reserved = await sluice.metric("sluice_budget_reserved", { budget: "lasting", subject: "killed" });
  ok(reserved > 0);
  for (const pid of sluice.workerPids()) process.kill(pid, "SIGKILL");
  strictEqual(await end, "cut");
  await upstream.open("killed");
  await until("workers serve again", async () => (await chat("lost").catch(() => null))?.status === 200);
  strictEqual(await usedUsd("lasting", "killed"), cost / NANO);
  strictEqual(await sluice.metric("sluice_budget_reserved", { budget: "lasting", subject: "killed" }), reserved);
});

test("an observing budget refuses nothing, and tells of each threshold once", async () => {
  const answers: Answer[] = [];
  for (let i = 0; i < 6; i += 1) answers.push(await chat("soft"));
  deepStrictEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  const tokens = sum(answers.map(({ text }) => JSON.parse(text).usage.total_tokens));
  strictEqual(await sluice.metric("sluice_budget_used", { budget: "soft", subject: "soft" }), tokens);
  ok((await sluice.metric("sluice_budget_observed_total", { budget: "soft" })) > 0);
  strictEqual(await sluice.metric("sluice_budget_alerts_total", { budget: "soft" }), 2);
  const lines = () => sluice.log.split("\n").filter((line) => line.includes('"budget":"soft"'));
  await until("both are logged", () => lines().length === 2);
  deepStrictEqual(
    lines().map((line) => [JSON.parse(line).percent, JSON.parse(line).key]),
    [
      [50, "soft"],
      [100, "soft"],
    ],
  );
});

test("the keys of a team share a budget of tokens, and one in total is by key and model", async () => {
  const statuses: number[] = [];
  for (let i = 0; i < 6; i += 1) statuses.push((await chat(i % 2 === 0 ? "team a" : "team b")).status);
  strictEqual(statuses.includes(402) && statuses[0] === 200, true, String(statuses));
  strictEqual((await chat("total", { max_tokens: 9 })).status, 200);
  strictEqual((await chat("total", { max_tokens: 15 })).status, 402);
  strictEqual((await chat("total", { max_tokens: 15, model: "gpt-4o-mini" })).status, 200);
});

test("a budget that a reload adds begins with what was used before", async () => {
  const cost = costOf(await chat("added"));
  await sluice.recordOf((await chat("added")).requestId);
  const added = { name: "added", scope: ["key"], usd: 1, per: "day" };
  await sluice.configure(configOf(upstream, [...BUDGETS, added]));
  strictEqual((await sluice.command("reload")).code, 0);
  strictEqual(await usedUsd("added", "added"), (2 * cost) / NANO);
});
