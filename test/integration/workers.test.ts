/** Two workers: one is replaced when it dies, metrics are those of both. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { readFileSync } from "node:fs";
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

test("where memory is short, the kernel ends a worker rather than the supervisor", () => {
  const scoreOf = (pid: number) => Number(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8"));
  const own = scoreOf(sluice.pid);
  deepStrictEqual(sluice.workerPids().map(scoreOf), [own + 200, own + 200]);
});

/** Kills one worker and waits until the kernel has closed its sockets. */
async function killOne(): Promise<number> {
  const [victim] = sluice.workerPids();
  if (victim === undefined) throw new Error("a worker is expected");
  process.kill(victim, "SIGKILL");
  await until("the worker is dead", () => !isAlive(victim));
  return victim;
}

async function waitForBoth(): Promise<void> {
  await until("two workers serve", async () => (await sluice.metric("sluice_workers_up")) === 2);
}

test("a killed worker is replaced while the other goes on", async () => {
  const before = sluice.workerPids();
  strictEqual(before.length, 2);
  const victim = await killOne();
  for (let i = 0; i < 20; i += 1) strictEqual(await askOnce(), 200);
  await waitForBoth();
  const after = sluice.workerPids();
  deepStrictEqual([after.length, after.includes(victim)], [2, false]);
  deepStrictEqual(after.filter((pid) => before.includes(pid)).length, 1);
  for (let i = 0; i < 20; i += 1) strictEqual(await askOnce(), 200);
});

test("counters do not go back when a worker is replaced, gauges do not keep what it had", async () => {
  const before = await sluice.metric("sluice_requests_total");
  await killOne();
  await waitForBoth();
  strictEqual(await askOnce(), 200);
  strictEqual((await sluice.metric("sluice_requests_total")) >= before + 1, true);
  await until("nothing is in flight", async () => (await sluice.metric("sluice_requests_in_flight")) === 0);
});
