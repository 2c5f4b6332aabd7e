/** Arms of a route with conditions, with the real program and two workers: a canary that is rolled back apart from its model's, and a split. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Explanation } from "../../src/config/explanation.ts";
import { type ConfigForm, mockProvider, standardConfig } from "../support/config.ts";
import { type Answer, ask } from "../support/http-client.ts";
import { Program, ROOT } from "../support/program.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";
import { attemptsOf } from "../support/usage-db.ts";

const sick = await Upstream.start();
const well = await Upstream.start();

const GOLD = { "x-tier": "gold" };
const TEST = { "x-tier": "test" };

/** `changes`: to what is not about arms. */
function formOf(changes: Partial<ConfigForm> = {}): ConfigForm {
  const rollback = { requests: "20", window: "1m" };
  const canary = (provider: string) => ({ provider, model: "next", percent: "50", rollback });
  const arm = (name: string) => ({ name, share: "1", provider: "well", model: name });
  return {
    ...standardConfig(well),
    workers: 2,
    providers: {
      well: mockProvider(well.url),
      sick: { ...mockProvider(sick.url), headers: { "x-mock": "status=500" } },
    },
    models: {
      chat: {
        provider: "well",
        model: "m",
        canary: canary("well"),
        routes: [
          { name: "gold", when: { header: GOLD }, provider: "well", model: "g", canary: canary("sick") },
          {
            name: "test",
            when: { header: TEST },
            split: { sticky: "user", arms: [arm("old"), arm("new")] },
            shadow: { provider: "well", model: "copy", percent: "100" },
          },
        ],
      },
    },
    passthrough: "well",
    ...changes,
  };
}

const sluice = await Sluice.start(well, formOf());
after(async () => {
  await sluice.stop();
  await sick.stop();
  await well.stop();
});

type Headers = Readonly<Record<string, string>>;

async function chat(headers: Headers, user = "one"): Promise<Answer> {
  const body = { model: "chat", user, messages: [{ role: "user", content: "Say it." }] };
  // Over a connection of its own, so that both workers have some.
  return ask(sluice, "/chat/completions", { body, headers: { ...headers, connection: "close" } });
}

async function load(headers: Headers, count: number): Promise<void> {
  const answers = await Promise.all(Array.from({ length: count }, () => chat(headers)));
  deepStrictEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
}

async function isRolledBack(route: string): Promise<boolean> {
  return (await sluice.metric("sluice_canary_rolled_back", { model: "chat", route })) === 1;
}

async function requestsOf(route: string, arm: string): Promise<number> {
  return sluice.metric("sluice_arm_requests_total", { model: "chat", route, arm });
}

async function rolledBack(): Promise<void> {
  await until("it is rolled back", async () => {
    await load(GOLD, 20);
    return (await isRolledBack("chat/gold")) || undefined;
  });
}

test("the canary of a route fails no client's request, and is rolled back without that of its model", async () => {
  await load({}, 60);
  await rolledBack();
  strictEqual(await isRolledBack("chat"), false);
  await until("it is in the log", () => sluice.log.includes("canary rolled back") || undefined);
  match(sluice.log, /"model":"chat","route":"chat\/gold","reason":"errors"/);
  ok((await requestsOf("chat", "canary")) > 0, "the model's own canary has requests");
  const before = await requestsOf("chat/gold", "canary");
  await load(GOLD, 40);
  strictEqual(await requestsOf("chat/gold", "canary"), before);
});

async function told(): Promise<Explanation["route"]> {
  const header = ["--header", "x-tier: gold"];
  const { code, text } = await sluice.command("explain", "--key", "default", "--model", "chat", "--json", ...header);
  strictEqual(code, 0, text);
  return (JSON.parse(text) as Explanation).route;
}

test("sluice explain tells the arms of the route, and which of them is rolled back", async () => {
  const route = await told();
  deepStrictEqual([route?.name, route?.arm], ["chat/gold", "stable"]);
  deepStrictEqual(route?.arms, [
    { name: "stable", percent: 50, closed: false },
    { name: "canary", percent: 50, closed: true },
  ]);
});

async function reset(name: string): Promise<number | string> {
  return new Program([join(ROOT, "src/main.ts"), "canary", "reset", name, "-c", sluice.configFile]).end(30_000);
}

test("it stays so over a reload and a kill, and ends with an order that names the route", async () => {
  await sluice.configure(formOf({ timeouts: { drain: "5s", total: "5m" } }));
  strictEqual((await sluice.command("reload")).code, 0);
  strictEqual(await isRolledBack("chat/gold"), true);
  await sluice.kill();
  await sluice.launch();
  strictEqual(await isRolledBack("chat/gold"), true);
  strictEqual(await reset("chat/none"), 1);
  strictEqual(await reset("chat"), 0);
  strictEqual(await isRolledBack("chat/gold"), true);
  strictEqual(await reset("chat/gold"), 0);
  strictEqual(await isRolledBack("chat/gold"), false);
  await rolledBack();
});

test("users of a route's split stay at their arms in every worker, and are told, counted and copied by it", async () => {
  const users = Array.from({ length: 60 }, (_, i) => `user ${i % 20}`);
  const ids: string[] = [];
  for (const user of users) ids.push((await chat(TEST, user)).requestId);
  const last = ids.at(-1) ?? "";
  await sluice.recordOf(last);
  const models = new Map<string, string>();
  for (const [i, id] of ids.entries()) {
    const { upstream_model: model, decision } = await sluice.recordOf(id);
    const user = users[i] ?? "";
    strictEqual(models.get(user) ?? model, model, user);
    strictEqual(decision, `route=chat/test;arm=${model}`);
    models.set(user, model);
  }
  deepStrictEqual(new Set(models.values()), new Set(["old", "new"]));
  strictEqual((await requestsOf("chat/test", "old")) + (await requestsOf("chat/test", "new")), users.length);
  await until("its copy is booked", () => attemptsOf(sluice.dataDir, last).length === 2 || undefined);
});
