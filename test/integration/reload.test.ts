/** SIGHUP: a new configuration takes over without touching what runs; a bad one is refused with its place. */
import { match, strictEqual } from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { hashOf, KEY, standardConfig } from "../support/config.ts";
import { ask, open } from "../support/http-client.ts";
import { startStage } from "../support/stage.ts";
import { until } from "../support/until.ts";

const { sluice, upstream } = await startStage();
const body = '{"model":"gpt-4o","stream":true,"messages":[]}';

async function statusWith(key: string, model = "gpt-4o"): Promise<number> {
  const headers = { authorization: `Bearer ${key}` };
  return (await ask(sluice, "/chat/completions", { body: { model, messages: [] }, headers })).status;
}

/** Reloads with these keys and waits until the newest is taken. */
async function reloadKeys(...keys: string[]): Promise<void> {
  const forms = keys.map((key, i) => ({ name: `key-${i}`, hash: hashOf(key) }));
  await sluice.configure({ ...standardConfig(upstream), keys: forms });
  sluice.signal("SIGHUP");
  await until("the new key is taken", async () => (await statusWith(keys.at(-1) ?? "")) === 200);
}

test("a stream in flight goes on over a reload, the new key works and the removed one does not", async () => {
  const stream = await open(sluice, "/chat/completions", { body, headers: { "x-mock": "hold=reload" } });
  await reloadKeys("sk-new");
  strictEqual(await statusWith(KEY), 401);
  await upstream.open("reload");
  match(await stream.text(), /data: \[DONE\]\n\n$/);
  await reloadKeys(KEY);
});

test("a bad file leaves the old configuration in force and the log says where it is wrong", async () => {
  const lines = (await readFile(sluice.configFile, "utf8")).split("\n");
  const bad = [...lines.slice(0, 2), ' "wrokers": 2,', ...lines.slice(2)].join("\n");
  await sluice.configureText(bad);
  sluice.signal("SIGHUP");
  await until("the refusal is logged", () => sluice.log.includes("wrokers"));
  match(sluice.log, /(:3:\d|line 3)/);
  match(sluice.log, /workers/);
  strictEqual(await statusWith(KEY), 200);
  strictEqual(await sluice.isReady(), true);
});

test("a file that is not YAML at all changes nothing either", async () => {
  await sluice.configureText("listen: [\n");
  const before = sluice.log.length;
  sluice.signal("SIGHUP");
  await until("the refusal is logged", () => sluice.log.length > before);
  strictEqual(await statusWith(KEY), 200);
});

test("models and prices change with a reload", async () => {
  const form = standardConfig(upstream);
  await sluice.configure({ ...form, models: { ...form.models, "new-alias": { provider: "mock" } } });
  sluice.signal("SIGHUP");
  await until("the new model is served", async () => (await statusWith(KEY, "new-alias")) === 200);
});

test("twenty reloads under load fail no request", async () => {
  const state = { stopped: false };
  const load = Promise.all(Array.from({ length: 4 }, () => askUntilStopped(state)));
  for (let i = 0; i < 20; i += 1) await reloadKeys(KEY, `sk-reload-${i}`);
  state.stopped = true;
  const statuses = (await load).flat();
  strictEqual(statuses.length > 0, true);
  strictEqual(
    statuses.every((status) => status === 200),
    true,
  );
});

async function askUntilStopped(state: { readonly stopped: boolean }): Promise<number[]> {
  const statuses: number[] = [];
  while (!state.stopped) statuses.push(await statusWith(KEY));
  return statuses;
}
