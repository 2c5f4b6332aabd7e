/**
 * A long audit by hand: `node test/audit/audit.ts --reloads 100 --restarts 30 --seconds 240 --clients 3 --habits plain,fresh`. Load on a gateway with
 * two workers while it is reloaded and restarted, spread over the time; prints what the auditor found. Exit code 1: something.
 * With --kills, workers are killed as well (kill -9), and requests that were in flight there fail: the number is what counts.
 */
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";
import { Auditor } from "./auditor.ts";
import { HABITS } from "./client.ts";

const NAMED_MAX = 20;
const { values } = parseArgs({
  options: {
    reloads: { type: "string", default: "100" },
    restarts: { type: "string", default: "30" },
    kills: { type: "string", default: "0" },
    seconds: { type: "string", default: "60" },
    clients: { type: "string", default: "2" },
    habits: { type: "string", default: HABITS.map(({ name }) => name).join() },
  },
});

/** What is done in which order: as evenly mixed as can be. */
function mixed(reloads: number, restarts: number): ("reload" | "restart")[] {
  const all = reloads + restarts;
  return Array.from({ length: all }, (_, i) =>
    Math.floor(((i + 1) * restarts) / all) > Math.floor((i * restarts) / all) ? "restart" : "reload",
  );
}

async function killOne(): Promise<{ code: number; text: string }> {
  const inFlight = await sluice.metric("sluice_requests_in_flight");
  const [victim = 0] = sluice.workerPids();
  process.kill(victim, "SIGKILL");
  const isReplaced = () => !sluice.workerPids().includes(victim) && sluice.workerPids().length >= 2;
  await until("it is replaced", async () => isReplaced() && (await sluice.metric("sluice_workers_up")) === 2);
  return { code: 0, text: `${inFlight} requests in flight in both` };
}

const upstream = await Upstream.start();
const sluice = await Sluice.start(upstream, { workers: 2, timeouts: { drain: "30s" } });
const auditor = new Auditor(sluice, upstream);
const kills = Array.from({ length: Number(values.kills) }, () => "kill" as const);
const orders = [...mixed(Number(values.reloads), Number(values.restarts)), ...kills];
const endMs = performance.now() + Number(values.seconds) * 1_000;
auditor.begin(Number(values.clients), values.habits.split(","));
for (const [done, order] of orders.entries()) {
  const { code, text } = order === "kill" ? await killOne() : await sluice.command(order);
  console.log(
    `${new Date().toISOString()} ${done + 1} of ${orders.length} ${order}: ${code}, ${auditor.requests} requests; ${text.split("\n")[0]}`,
  );
  if (code !== 0) throw new Error(text);
  await delay(Math.max((endMs - performance.now()) / (orders.length - done), 0));
}
const report = await auditor.end();
console.log(JSON.stringify({ ...report, failed: report.failed.length, unbalanced: report.unbalanced.length }));
for (const one of [...report.failed, ...report.unbalanced, ...report.strangers].slice(0, NAMED_MAX)) console.log(one);
process.exitCode = report.failed.length + report.unbalanced.length + report.strangers.length === 0 ? 0 : 1;
await sluice.stop();
await upstream.stop();
