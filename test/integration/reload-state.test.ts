/**
 * What hot reloads leave as it is, with the real program and two workers: levels of limits, permits in flight, budgets and what is reserved of
 * them, breakers that are open. Also when the file changes around them.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import type { Explanation } from "../../src/config/explanation.ts";
import { type ConfigForm, hashOf, mockProvider, standardConfig } from "../support/config.ts";
import { ask, open } from "../support/http-client.ts";
import { Sluice } from "../support/sluice.ts";
import { Upstream } from "../support/upstream.ts";

const sick = await Upstream.start();
const well = await Upstream.start();
const DAY = 86_400;

/** `changes`: to all that is not about what is asked here. */
function formOf(changes: Partial<ConfigForm> = {}): ConfigForm {
  const keys = ["one", "other", "held"].map((name) => ({ name, hash: hashOf(name) }));
  return {
    ...standardConfig(well),
    workers: 2,
    providers: {
      well: mockProvider(well.url),
      sick: { ...mockProvider(sick.url), headers: { "x-mock": "status=500" } },
    },
    models: {
      chat: { targets: ["sick", "well"].map((provider) => ({ provider, model: "m" })) },
      held: { provider: "well", model: "m" },
    },
    prices: { m: { input: 1, output: 100 } },
    passthrough: "well",
    breaker: { failures: "2", cooldown: "1h" },
    rate_limits: [
      { name: "rate", scope: ["key"], keys: ["one"], requests: `${DAY}/day`, burst: 20 },
      { name: "window", scope: ["key"], keys: ["one"], tokens: "100_000/day", algorithm: "fixed_window" },
      { name: "at once", scope: ["key"], keys: ["held"], concurrency: 2 },
    ],
    budgets: [{ name: "money", scope: ["key"], usd: 10, per: "month" }],
    keys,
    ...changes,
  };
}

const sluice = await Sluice.start(well, formOf());
after(async () => {
  await sluice.stop();
  await sick.stop();
  await well.stop();
});

function body(model: string): object {
  return { model, max_tokens: 40, messages: [{ role: "user", content: "Say it." }] };
}

async function chat(key: string, model = "chat"): Promise<number> {
  const headers = { authorization: `Bearer ${key}`, connection: "close" };
  return (await ask(sluice, "/chat/completions", { body: body(model), headers })).status;
}

async function reload(form: ConfigForm): Promise<void> {
  await sluice.configure(form);
  const { code, text } = await sluice.command("reload");
  strictEqual(code, 0, text);
}

async function told(key: string, model = "chat"): Promise<Explanation> {
  const { code, text } = await sluice.command("explain", "--key", key, "--model", model, "--json");
  strictEqual(code, 0, text);
  return JSON.parse(text);
}

/** What is left of each limit and budget. Those of a rate come back, one a second, so they are what is missing at most. */
async function left(key: string): Promise<Record<string, number>> {
  const { limits } = await told(key);
  return Object.fromEntries(limits.map(({ name, left: much }) => [name, much]));
}

async function openTargets(): Promise<string[]> {
  const { targets } = await told("one");
  return targets.filter(({ obstacle }) => obstacle?.includes("open") === true).map(({ provider }) => provider);
}

/** Other models, keys, prices, limits and numbers, in another order. */
const CHANGED: ConfigForm = formOf({
  models: {
    added: { provider: "well" },
    held: { provider: "well", model: "m" },
    chat: { targets: ["sick", "well", "well"].map((provider, i) => ({ provider, model: i === 2 ? "n" : "m" })) },
  },
  prices: { n: { input: 5, output: 5 }, m: { input: 1, output: 100 } },
  rate_limits: [
    { name: "added", scope: ["model"], requests: "1000/s" },
    { name: "at once", scope: ["key"], keys: ["held"], concurrency: 2 },
    { name: "window", scope: ["key"], keys: ["one"], tokens: "100_000/day", algorithm: "fixed_window" },
    { name: "rate", scope: ["key"], keys: ["one"], requests: `${DAY}/day`, burst: 20 },
  ],
  budgets: [
    { name: "also", scope: ["team"], tokens: 1_000_000, per: "day" },
    { name: "money", scope: ["key"], usd: 10, per: "month" },
  ],
  keys: ["added", "held", "other", "one"].map((name) => ({ name, hash: hashOf(name) })),
});

test("levels of limits, budgets and breakers are the same after many reloads, and after one that changes all around them", async () => {
  for (let i = 0; i < 8; i += 1) strictEqual(await chat("one"), 200);
  await sluice.records(8);
  const before = await left("one");
  ok((before["rate"] ?? 20) < 20 && (before["window"] ?? 0) < 100_000 && (before["money"] ?? 0) < 10_000_000_000);
  deepStrictEqual(await openTargets(), ["sick"]);
  for (let i = 0; i < 5; i += 1) await reload(formOf());
  await reload(CHANGED);
  const { rate, window, money, added } = await left("one");
  deepStrictEqual([window, money, added], [before["window"], before["money"], 1_000]);
  ok(rate !== undefined && rate >= (before["rate"] ?? 0) && rate <= 20, `${rate} requests left`);
  deepStrictEqual(await openTargets(), ["sick"]);
  await sick.reset();
  strictEqual(await chat("one"), 200);
  strictEqual((await sick.journal()).requestsTotal, 0);
  strictEqual((await left("other"))["money"], 10_000_000_000);
});

test("what is in flight over reloads holds its permits and reservations, and settles them", async () => {
  await reload(formOf());
  const headers = { authorization: "Bearer held", "x-mock": "hold=reloads" };
  const stream = { ...body("held"), stream: true };
  const running = [await open(sluice, "/chat/completions", { body: stream, headers })];
  const reserved = (await left("held"))["money"] ?? 0;
  await reload(CHANGED);
  running.push(await open(sluice, "/chat/completions", { body: stream, headers }));
  await reload(formOf());
  strictEqual(await chat("held", "held"), 429);
  ok((await left("held"))["money"] === 2 * reserved - 10_000_000_000, "both are reserved");
  await well.open("reloads");
  for (const answer of running) match(await answer.text(), /\[DONE\]/);
  strictEqual(await chat("held", "held"), 200);
  const spent = await sluice.metric("sluice_budget_used", { budget: "money", subject: "held" });
  strictEqual(await sluice.metric("sluice_budget_reserved", { budget: "money", subject: "held" }), 0);
  strictEqual((await left("held"))["money"], Math.round((10 - spent) * 1e9));
});

test("under load, reloads lose no request of a limit and count none twice", async () => {
  await reload(formOf());
  const before = (await left("one"))["window"] ?? 0;
  const state = { stopped: false };
  const load = Promise.all(Array.from({ length: 4 }, () => untilStopped(state)));
  for (let i = 0; i < 6; i += 1) await reload(i % 2 === 0 ? CHANGED : formOf());
  state.stopped = true;
  const counted = (await load).reduce((sum, tokens) => sum + tokens, 0);
  ok(counted > 0);
  strictEqual(before - ((await left("one"))["window"] ?? 0), counted);
});

/** Tokens of the answers, as the client was told. */
async function untilStopped(state: { readonly stopped: boolean }): Promise<number> {
  let tokens = 0;
  while (!state.stopped) {
    const headers = { authorization: "Bearer one" };
    const { status, text } = await ask(sluice, "/chat/completions", { body: body("chat"), headers });
    if (status === 200) tokens += Number(JSON.parse(text).usage.total_tokens);
    else strictEqual(status, 429);
  }
  return tokens;
}
