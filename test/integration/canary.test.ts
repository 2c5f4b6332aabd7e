/** A canary that fails, with the real program and two workers: no client notices, it is rolled back once, and stays so until it is changed. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { type ConfigForm, mockProvider, standardConfig } from "../support/config.ts";
import { type Answer, chat } from "../support/http-client.ts";
import { Program, ROOT } from "../support/program.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const sick = await Upstream.start();
const well = await Upstream.start();

/** `percent` of the canary's, which fails. */
function formOf(percent: number): ConfigForm {
  const canary = {
    provider: "sick",
    model: "next",
    percent: String(percent),
    rollback: { requests: "20", window: "1m" },
  };
  const split = {
    sticky: "user",
    arms: [
      { name: "old", share: "3", provider: "well", model: "m" },
      { name: "new", share: "1", provider: "well", model: "n" },
    ],
  };
  return {
    ...standardConfig(well),
    workers: 2,
    providers: {
      well: mockProvider(well.url),
      sick: { ...mockProvider(sick.url), headers: { "x-mock": "status=500" } },
    },
    models: { tried: { provider: "well", model: "m", canary }, shared: { split } },
    passthrough: "well",
    // So that a canary that is tried again is asked at once.
    breaker: { cooldown: "100ms", cooldown_max: "100ms" },
  };
}

const sluice = await Sluice.start(well, formOf(50));
after(async () => {
  await sluice.stop();
  await sick.stop();
  await well.stop();
});

function body(model: string, user = "one"): object {
  return { model, user, messages: [{ role: "user", content: "Say it." }] };
}

/** `count` requests, eight at a time, over connections of their own so that both workers have some. */
async function load(count: number): Promise<Answer[]> {
  const answers: Answer[] = [];
  const client = async () => {
    for (let i = 0; i < count / 8; i += 1) answers.push(await chat(sluice, "", body("tried")));
  };
  await Promise.all(Array.from({ length: 8 }, client));
  return answers;
}

async function isRolledBack(): Promise<boolean> {
  return (await sluice.metric("sluice_canary_rolled_back", { model: "tried" })) === 1;
}

function statuses(answers: readonly Answer[]): Set<number> {
  return new Set(answers.map(({ status }) => status));
}

/** Requests that the canary's provider gets while so many are sent. */
async function askedOf(count: number): Promise<number> {
  await sick.reset();
  deepStrictEqual(statuses(await load(count)), new Set([200]));
  return (await sick.journal()).requestsTotal;
}

async function reset(model: string): Promise<number | string> {
  const program = new Program([join(ROOT, "src/main.ts"), "canary", "reset", model, "-c", sluice.configFile]);
  return program.end(30_000);
}

async function isAsked(): Promise<void> {
  await until("its provider is asked", async () => (await askedOf(8)) > 0 || undefined);
}

test("a canary that fails fails no client's request, and is rolled back, once", async () => {
  const seen = new Set<number>();
  await until("it is rolled back", async () => {
    for (const status of statuses(await load(40))) seen.add(status);
    return (await isRolledBack()) || undefined;
  });
  deepStrictEqual(seen, new Set([200]));
  await until("it is in the log", () => sluice.log.includes("canary rolled back") || undefined);
  strictEqual(sluice.log.split("canary rolled back").length, 2);
  match(sluice.log, /"model":"tried","route":"tried","reason":"errors"/);
  strictEqual(await askedOf(80), 0);
  const failed = await sluice.metric("sluice_arm_failed_total", { model: "tried", arm: "canary" });
  const judged = await sluice.metric("sluice_arm_judged_total", { model: "tried", arm: "canary" });
  ok(failed === judged && judged >= 20, `${failed} of ${judged}`);
});

test("it stays rolled back over a reload, a restart, a stop and a kill", async () => {
  strictEqual((await sluice.command("reload")).code, 0);
  strictEqual(await askedOf(40), 0);
  strictEqual((await sluice.command("restart")).code, 0);
  strictEqual(await askedOf(40), 0);
  sluice.signal("SIGTERM");
  await sluice.end();
  await sluice.launch();
  strictEqual(await askedOf(40), 0);
  await sluice.kill();
  await sluice.launch();
  strictEqual(await askedOf(40), 0);
  strictEqual(await isRolledBack(), true);
});

test("a canary that is reset is tried again, and rolled back again when it still fails", async () => {
  strictEqual(await reset("shared"), 1);
  strictEqual(await isRolledBack(), true);
  strictEqual(await reset("tried"), 0);
  strictEqual(await isRolledBack(), false);
  await isAsked();
  await until("it is rolled back", async () => {
    deepStrictEqual(statuses(await load(40)), new Set([200]));
    return (await isRolledBack()) || undefined;
  });
});

test("a canary that is changed is tried again", async () => {
  await sluice.configure(formOf(49));
  strictEqual((await sluice.command("reload")).code, 0);
  strictEqual(await isRolledBack(), false);
  await isAsked();
});

test("users of arms stay at theirs, whichever worker they come to, and requests are counted by arm", async () => {
  const before = await Promise.all(
    ["old", "new"].map((arm) => sluice.metric("sluice_arm_requests_total", { model: "shared", arm })),
  );
  const users = Array.from({ length: 120 }, (_, i) => `user ${i % 40}`);
  const ids: string[] = [];
  for (const user of users) ids.push((await chat(sluice, "", body("shared", user))).requestId);
  await sluice.recordOf(ids.at(-1) ?? "");
  const models = new Map<string, string>();
  for (const [i, id] of ids.entries()) {
    const { upstream_model: model } = await sluice.recordOf(id);
    const user = users[i] ?? "";
    strictEqual(models.get(user) ?? model, model, user);
    models.set(user, model);
  }
  const counts = await Promise.all(
    ["old", "new"].map((arm) => sluice.metric("sluice_arm_requests_total", { model: "shared", arm })),
  );
  const [old = 0, next = 0] = counts.map((count, i) => count - (before[i] ?? 0));
  strictEqual(old + next, 120);
  ok(next > 0 && old > next, `${old} and ${next}`);
});
