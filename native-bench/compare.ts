/**
 * CPU per request and memory of Sluice over those of nginx's proxy_pass, in one run on one machine: both stand in front of
 * the same mock providers, and take turns under the same load from wrk, so that a slow minute hits both. What is counted
 * is the CPU time of all processes of a contestant, from /proc. Loopback only; ends what it started, and only that.
 *
 * `node native-bench/compare.ts [--rounds N] [--seconds N] [--workers N] [--out FILE] [--profile DIR] [--without-gateway]`
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Gateway } from "./compare/gateway.ts";
import { machine } from "./compare/machine.ts";
import { Mocks } from "./compare/mock.ts";
import { Nginx } from "./compare/nginx.ts";
import { cpuTime, pssBytes } from "./compare/processes.ts";
import { hotFunctions, profileOptions } from "./compare/profile.ts";
import { type Result, type Run, summarize, tableOf } from "./compare/report.ts";
import { missingRequirements } from "./compare/requirements.ts";
import { type Contestant, SCENARIOS, type Scenario } from "./compare/scenario.ts";
import { drive } from "./compare/wrk.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "8" },
    workers: { type: "string", default: "1" },
    out: { type: "string", default: join(tmpdir(), "sluice-compare.json") },
    profile: { type: "string", default: "" },
    "without-gateway": { type: "boolean", default: false },
  },
});
const ROUNDS = Number(values.rounds);
const SECONDS = Number(values.seconds);
const WORKERS = Number(values.workers);
const WARM_UP_SECONDS = 2;
/** Between the start and the look at memory at rest: pools have their threads, the first collections are over. */
const REST_MS = 3_000;
const KEY = "sk-sluice-benchmark-0123456789abcdefghijklmnopqrstuv";

const directory = mkdtempSync(join(tmpdir(), "sluice-compare-"));
const mocks = new Mocks();
const nginx = new Nginx();
const gateway = new Gateway();

/** Starts everything; the contestants in the order of their turns. */
async function start(): Promise<Contestant[]> {
  await mocks.start();
  await nginx.start(directory, WORKERS, mocks);
  if (values["without-gateway"]) return [mocks, nginx];
  const nodeOptions = values.profile === "" ? "" : profileOptions(values.profile);
  await gateway.start({ directory, workers: WORKERS, key: KEY, nodeOptions }, mocks);
  return [mocks, nginx, gateway];
}

async function stop(): Promise<void> {
  for (const contestant of [gateway, nginx, mocks]) await contestant.stop();
}

async function measure(contestant: Contestant, scenario: Scenario, seconds: number): Promise<Run> {
  const pids = contestant.pids(scenario);
  await contestant.begin();
  const before = cpuTime(pids);
  const target = { url: contestant.url(scenario), key: KEY, directory };
  const [load, pss] = await Promise.all([drive(target, scenario, seconds), pssAfter(pids, seconds * 500)]);
  await contestant.settle(load.requests, scenario);
  const after = cpuTime(pids);
  return {
    scenario: scenario.name,
    contestant: contestant.name,
    load,
    cpuUsPerRequest: (after.allUs - before.allUs) / load.requests,
    parentCpuUsPerRequest: (after.ownUs - before.ownUs) / load.requests,
    pssBytes: pss,
  };
}

async function pssAfter(pids: readonly number[], waitMs: number): Promise<number> {
  await delay(waitMs);
  return pssBytes(pids);
}

/** A contestant may have other processes per scenario: the largest counts. */
function restPss(contestant: Contestant): number {
  return Math.max(...SCENARIOS.map((scenario) => pssBytes(contestant.pids(scenario))));
}

async function allRuns(contestants: readonly Contestant[]): Promise<Run[]> {
  const runs: Run[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const scenario of SCENARIOS) {
      for (const contestant of contestants) runs.push(report(await measure(contestant, scenario, SECONDS)));
    }
  }
  return runs;
}

function report(run: Run): Run {
  const { requests, requestsPerSecond, failures } = run.load;
  const figures = `${requests} requests, ${Math.round(requestsPerSecond)}/s, ${run.cpuUsPerRequest.toFixed(1)} us each`;
  console.error(`${run.scenario}: ${run.contestant}: ${figures}, ${failures} failed`);
  return run;
}

async function compare(): Promise<Result> {
  const startedAt = new Date().toISOString();
  const contestants = await start();
  await delay(REST_MS);
  const restPssBytes = Object.fromEntries(contestants.map((each) => [each.name, restPss(each)]));
  for (const scenario of SCENARIOS) {
    for (const contestant of contestants) await measure(contestant, scenario, WARM_UP_SECONDS);
  }
  const runs = await allRuns(contestants);
  const parameters = { rounds: ROUNDS, seconds: SECONDS, workers: WORKERS };
  return { startedAt, machine: machine(), parameters, restPssBytes, summaries: summarize(runs), runs };
}

async function main(): Promise<void> {
  try {
    const result = await compare();
    console.log(JSON.stringify(result.machine));
    console.table(tableOf(result));
    writeFileSync(values.out, `${JSON.stringify(result, null, 2)}\n`);
    console.log(`written to ${values.out}`);
  } finally {
    await stop();
  }
  if (values.profile !== "") console.table(hotFunctions(values.profile));
}

const missing = missingRequirements();
if (missing.length > 0) {
  console.error(missing.join("\n"));
  process.exitCode = 1;
} else {
  await main().finally(() => rmSync(directory, { recursive: true, force: true }));
}
