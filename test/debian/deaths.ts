/**
 * Processes of the installed service that are killed or stand still, under audited load. Runs inside the booted Debian tree, as
 * root. What must hold: whoever got a whole answer has a record, and the service comes back by itself.
 */
import { equal, notEqual, ok } from "node:assert/strict";
import process from "node:process";
import { until } from "../support/until.ts";
import { audited, CLIENTS, requireBooks, shortList } from "./audited.ts";
import { output } from "./command.ts";
import type { Gateway } from "./gateway.ts";
import { dropIn, type Provider } from "./provider.ts";
import type { Step } from "./step.ts";

/** In place of half a minute. */
const WATCHDOG = "WatchdogSec=4s";
const WATCHDOG_MS_MAX = 60_000;

export function deathSteps(gateway: Gateway, provider: Provider): readonly Step[] {
  const costs = (lostMax: number, act: () => Promise<void>) => costOf(gateway, provider, lostMax, act);
  return [
    { name: "kill -9 of one worker", run: () => costs(CLIENTS, () => loseWorker(gateway, "SIGKILL")) },
    { name: "one worker hangs and is replaced", run: () => costs(CLIENTS, () => loseWorker(gateway, "SIGSTOP")) },
    { name: "kill -9 of the main process", run: () => costs(Infinity, () => killService(gateway, "main")) },
    { name: "kill -9 of everything", run: () => costs(Infinity, () => killService(gateway, "all")) },
    {
      name: "the watchdog ends a service whose main process hangs",
      run: () => costs(Infinity, () => hang(gateway, () => gateway.mainPid())),
    },
    {
      name: "the watchdog ends a service with a hanging worker, where it is faster than the supervisor",
      run: () => costs(Infinity, () => hang(gateway, async () => (await gateway.servingPids())[0] ?? 0)),
    },
  ];
}

/**
 * What it costs is said; a client that gets no connection has lost nothing. At most `lostMax` requests. The batch that was on
 * its way to the access log goes with the main process; its records do not.
 */
async function costOf(
  gateway: Gateway,
  provider: Provider,
  lostMax: number,
  act: () => Promise<void>,
): Promise<string> {
  const report = await audited(gateway, provider, act);
  const isUnlogged = (one: string) => lostMax === Infinity && one.endsWith('"stored":1,"logged":0}');
  requireBooks({ ...report, unbalanced: report.unbalanced.filter((one) => !isUnlogged(one)) });
  const lost = report.failed.filter((fault) => !fault.includes("ECONNREFUSED"));
  ok(lost.length <= lostMax, shortList(lost));
  const refused = report.failed.length - lost.length;
  const unlogged = report.unbalanced.length === 0 ? "" : `, ${report.unbalanced.length} lines of the access log lost`;
  const counts = `${lost.length} requests of ${CLIENTS} clients lost, ${refused} connections refused${unlogged}`;
  return `${counts}; all of ${report.requests - report.failed.length} answers have their record`;
}

/** Others go on, and it is replaced. Connections that wait for it move on. */
async function loseWorker(gateway: Gateway, signal: NodeJS.Signals): Promise<void> {
  const [pid, before] = [await gateway.mainPid(), await gateway.servingPids()];
  const [victim = 0] = before;
  process.kill(victim, signal);
  const isReplaced = async () => {
    const now = await gateway.workerPids();
    return !now.includes(victim) && now.length === before.length && (await gateway.workersUp()) === before.length;
  };
  await until("it is replaced", isReplaced, WATCHDOG_MS_MAX);
  equal(await gateway.mainPid(), pid);
}

async function killService(gateway: Gateway, whom: "main" | "all"): Promise<void> {
  const pid = await gateway.mainPid();
  await output("systemctl", "kill", "--signal=KILL", `--kill-whom=${whom}`, "sluice");
  await untilAnother(gateway, pid);
}

async function untilAnother(gateway: Gateway, pid: number): Promise<void> {
  const isAnother = async () => ![0, pid].includes(await gateway.mainPid());
  await until("systemd started another one", isAnother, WATCHDOG_MS_MAX);
  await gateway.untilReady();
}

async function hang(gateway: Gateway, victim: () => Promise<number>): Promise<void> {
  await dropIn("watchdog", WATCHDOG);
  // systemd tells a service its interval when it starts.
  await killService(gateway, "all");
  const pid = await gateway.mainPid();
  process.kill(await victim(), "SIGSTOP");
  await until("the watchdog acts", async () => (await gateway.property("Result")) === "watchdog", WATCHDOG_MS_MAX);
  await untilAnother(gateway, pid);
  notEqual(await gateway.mainPid(), pid);
}
