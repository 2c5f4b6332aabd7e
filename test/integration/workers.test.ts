/** Two workers: one is replaced when it dies, metrics are those of both. */
import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { isAlive } from "../support/process-tree.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { startStage } from "../support/stage.ts";
import { until } from "../support/until.ts";

const { sluice } = await startStage(() => ({ workers: 2 }));

/** One request on a connection of its own. */
async function askOnce(): Promise<number> {
  const client = await RawClient.connect(sluice.port);
  const response = await client.ask(requestBytes());
  client.leave();
  return response.status;
}

test("requests of both workers are counted together, once each", async () => {
  const before = await sluice.metric("sluice_requests_total");
  for (let i = 0; i < 60; i += 1) strictEqual(await askOnce(), 200);
  strictEqual(await sluice.metric("sluice_requests_total"), before + 60);
});

test("a killed worker is replaced while the other goes on", async () => {
  const [victim, survivor] = sluice.workerPids();
  if (victim === undefined || survivor === undefined) throw new Error("two workers are expected");
  process.kill(victim, "SIGKILL");
  await until("the worker is dead", () => !isAlive(victim));
  for (let i = 0; i < 20; i += 1) strictEqual(await askOnce(), 200);
  const pids = await until("there are two workers again", () => {
    const alive = sluice.workerPids();
    return alive.length === 2 && !alive.includes(victim) ? alive : undefined;
  });
  strictEqual(pids.includes(survivor), true);
  for (let i = 0; i < 20; i += 1) strictEqual(await askOnce(), 200);
});

test("counters do not go back when a worker is replaced, gauges do not keep what it had", async () => {
  const before = await sluice.metric("sluice_requests_total");
  const [victim] = sluice.workerPids();
  if (victim === undefined) throw new Error("a worker is expected");
  process.kill(victim, "SIGKILL");
  await until("it is replaced", () => sluice.workerPids().length === 2 && !sluice.workerPids().includes(victim));
  strictEqual(await askOnce(), 200);
  strictEqual((await sluice.metric("sluice_requests_total")) >= before + 1, true);
  await until("nothing is in flight", async () => (await sluice.metric("sluice_requests_in_flight")) === 0);
});
