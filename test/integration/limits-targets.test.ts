/** Limits and budgets of providers where a model has several targets: who has no more is not chosen, and what a request has goes with it. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { mockProvider, standardConfig } from "../support/config.ts";
import { type Answer, chat, errorOf } from "../support/http-client.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";
import { attemptsOf } from "../support/usage-db.ts";

const upstream = await Upstream.start();
const well = mockProvider(upstream.url);
const names = ["small", "tiny", "large", "hanging", "slow", "quick", "sure", "failing", "full"];
const sick = (fault: string) => ({ ...well, headers: { "x-mock": fault } });
const targets = (...providers: string[]) => ({ targets: providers.map((provider) => ({ provider, model: "m" })) });

const sluice = await Sluice.start(upstream, {
  ...standardConfig(upstream),
  timeouts: { drain: "5s", first_byte: "300ms" },
  providers: {
    ...Object.fromEntries(names.map((name) => [name, well])),
    hanging: sick("stall-before-head"),
    slow: sick("stall-before-head"),
    failing: sick("status=500"),
  },
  models: {
    two: targets("small", "tiny"),
    late: targets("hanging", "large"),
    hedged: { ...targets("slow", "quick"), hedge: { after: "20ms" } },
    beyond: targets("failing", "full", "sure"),
    nowhere: targets("failing", "full"),
    filling: { provider: "full", model: "m" },
  },
  passthrough: "large",
  breaker: { cooldown: "1s", cooldown_max: "1s" },
  rate_limits: [
    { name: "few", scope: ["provider"], models: ["two"], requests: "2/day" },
    { name: "one", scope: ["provider"], models: ["beyond", "nowhere", "filling"], tokens: "30/day" },
  ],
  budgets: [{ name: "spent", scope: ["provider"], models: ["late", "hedged"], tokens: 100_000, per: "total" }],
});
after(async () => {
  await sluice.stop();
  await upstream.stop();
});

function asked(model: string): object {
  return { model, max_tokens: 9, messages: [{ role: "user", content: "Say it." }] };
}

async function providerOf(answer: Answer): Promise<string> {
  return (await sluice.recordOf(answer.requestId)).provider;
}

test("a provider whose limit is reached is not chosen, and when none is left the client is told", async () => {
  const seen: string[] = [];
  for (let i = 0; i < 4; i += 1) seen.push(await providerOf(await chat(sluice, "", asked("two"))));
  deepStrictEqual(seen, ["small", "small", "tiny", "tiny"]);
  const refused = await chat(sluice, "", asked("two"));
  deepStrictEqual([refused.status, errorOf(refused)["code"]], [429, "rate_limit_exceeded"]);
});

async function budgetOf(what: "used" | "reserved", subject: string): Promise<number> {
  return sluice.metric(`sluice_budget_${what}`, { budget: "spent", subject });
}

test("what a try that timed out used is its provider's, and the answer the other's", async () => {
  const answer = await chat(sluice, "", asked("late"));
  const [late, whole] = await until("both records are there", () => {
    const rows = attemptsOf(sluice.dataDir, answer.requestId);
    return rows.length === 2 ? rows : undefined;
  });
  deepStrictEqual([late?.provider, whole?.provider], ["hanging", "large"]);
  strictEqual(await budgetOf("used", "hanging"), late?.input_tokens);
  strictEqual(await budgetOf("used", "large"), (whole?.input_tokens ?? 0) + (whole?.output_tokens ?? 0));
  deepStrictEqual([await budgetOf("reserved", "hanging"), await budgetOf("reserved", "large")], [0, 0]);
});

test("of two attempts at a time each is its provider's, and the one that was not taken has only what it used", async () => {
  const answer = await chat(sluice, "", asked("hedged"));
  const [lost, whole] = await until("both records are there", () => {
    const rows = attemptsOf(sluice.dataDir, answer.requestId);
    return rows.length === 2 ? rows : undefined;
  });
  deepStrictEqual([lost?.kind, lost?.provider, whole?.kind, whole?.provider], ["hedge", "slow", "request", "quick"]);
  deepStrictEqual([await budgetOf("used", "slow"), await budgetOf("reserved", "slow")], [lost?.input_tokens, 0]);
  const tokens = (whole?.input_tokens ?? 0) + (whole?.output_tokens ?? 0);
  deepStrictEqual([await budgetOf("used", "quick"), await budgetOf("reserved", "quick")], [tokens, 0]);
});

test("a fallback passes over a provider whose limit has no room, and without another one the failure stays the answer", async () => {
  // An answer of the mock has thirty tokens.
  strictEqual(await providerOf(await chat(sluice, "", asked("filling"))), "full");
  strictEqual(await providerOf(await chat(sluice, "", asked("beyond"))), "sure");
  const answer = await chat(sluice, "", asked("nowhere"));
  deepStrictEqual([answer.status, await providerOf(answer)], [500, "failing"]);
});
