/** Reload, restart and upgrade of the installed service, first at rest, then under audited load. Runs inside the booted Debian tree, as root. */
import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { until } from "../support/until.ts";
import { audited, requireBooks, requireNoneFailed } from "./audited.ts";
import { output, run } from "./command.ts";
import type { Gateway } from "./gateway.ts";
import type { Provider } from "./provider.ts";
import type { Step } from "./step.ts";

/** On a busy machine, milliseconds. */
const UPGRADE_MS_MAX = 120_000;
/** How many workers, in YAML and in JSON. */
const WORKERS = /^( ?"?workers"?: )[^,\n]+/m;

export function changeSteps(gateway: Gateway, provider: Provider, upgrades: readonly string[]): readonly Step[] {
  const half = Math.ceil(upgrades.length / 2);
  return [
    { name: "reload", run: () => reload(gateway) },
    { name: "reload refused", run: () => refusedReload(gateway) },
    { name: "restart", run: () => restart(gateway) },
    {
      name: "a provider's credential by systemd",
      run: async () => {
        await provider.install(gateway);
        return "LoadCredential in a drop-in, and a start";
      },
    },
    { name: "upgrades under load", run: () => upgradesUnderLoad(gateway, provider, upgrades.slice(0, half)) },
    {
      name: "upgrades under load, each after a refused reload",
      run: () => upgradesUnderLoad(gateway, provider, upgrades.slice(half), refusedReload),
    },
    {
      name: "an upgrade with a configuration that cannot be used",
      run: () => unusable(gateway, upgrades.at(-1) ?? ""),
    },
  ];
}

async function reload(gateway: Gateway): Promise<string> {
  const before = await gateway.configuration();
  await gateway.configure(before.replace("\nmodels:\n", "\nmodels:\n  another-name: { provider: demo }\n"));
  await output("systemctl", "reload", "sluice");
  const key = await output("cat", "/etc/sluice/first-key");
  const models = await fetch(`${gateway.baseUrl}/models`, { headers: { authorization: `Bearer ${key}` } });
  match(await models.text(), /another-name/);
  return "a new model is served";
}

/** The reason is where systemctl says that one should look; the service goes on. */
async function refusedReload(gateway: Gateway): Promise<string> {
  const pid = await gateway.mainPid();
  const before = await spoil(gateway);
  const { code } = await run("systemctl", "reload", "sluice");
  notEqual(code, 0);
  const { text } = await run("systemctl", "status", "--no-pager", "--full", "--lines=20", "sluice");
  match(text, /workers.*zero/);
  deepEqual([await gateway.property("ActiveState"), await gateway.mainPid()], ["active", pid]);
  ok(await gateway.isReady());
  await gateway.configure(before);
  return "systemctl fails, systemctl status shows why, the service goes on";
}

/** What it was. */
async function spoil(gateway: Gateway): Promise<string> {
  const before = await gateway.configuration();
  await gateway.configure(before.replace(WORKERS, "$1zero"));
  notEqual(await gateway.configuration(), before);
  return before;
}

async function restart(gateway: Gateway): Promise<string> {
  const pid = await gateway.mainPid();
  const said = await output("sluice", "restart", "--wait");
  equal(await gateway.mainPid(), pid);
  match(await gateway.property("StatusText"), /; generation 2$/);
  return said.split("\n").at(-1) ?? "";
}

/** Installs one package after the other, with what `between` does before each. */
async function upgradesUnderLoad(
  gateway: Gateway,
  provider: Provider,
  packages: readonly string[],
  between: (gateway: Gateway) => Promise<string> = async () => "",
): Promise<string> {
  const pid = await gateway.mainPid();
  const report = await audited(gateway, provider, async () => {
    for (const file of packages) {
      await between(gateway);
      await upgrade(gateway, file, pid);
    }
  });
  requireNoneFailed(report);
  requireBooks(report);
  return `${packages.length} upgrades, ${report.requests} requests: none failed, none lost or doubled`;
}

/** In the same process, so that systemd noticed nothing. */
async function upgrade(gateway: Gateway, file: string, pid: number): Promise<void> {
  const [said] = await Promise.all([output("dpkg", "--install", file), rotateMeanwhile(gateway)]);
  const [, version = ""] = /sluice_(.*)_amd64\.deb$/.exec(file) ?? [];
  deepEqual([await gateway.version(), await gateway.mainPid()], [version, pid], said);
  equal(await gateway.property("NRestarts"), "0", said);
}

/** The access log, as soon as a worker of the next generation is there: the earlier program has just gone. */
async function rotateMeanwhile(gateway: Gateway): Promise<void> {
  const before = await gateway.workerPids();
  const hasBegun = async () => (await gateway.workerPids()).some((pid) => !before.includes(pid));
  await until("the next generation begins", hasBegun, UPGRADE_MS_MAX);
  await output("logrotate", "--force", "/etc/logrotate.d/sluice");
}

/** What runs goes on, and the installation succeeds and says what to do. */
async function unusable(gateway: Gateway, file: string): Promise<string> {
  const [pid, status] = [await gateway.mainPid(), await gateway.property("StatusText")];
  const before = await spoil(gateway);
  match(await output("dpkg", "--install", file), /the service was neither enabled nor \(re\)started/);
  deepEqual([await gateway.mainPid(), await gateway.isReady()], [pid, true]);
  const now = await gateway.property("StatusText");
  equal(generationOf(now), generationOf(status), `${status}\n${now}`);
  await gateway.configure(before);
  return "what runs goes on";
}

function generationOf(status: string): string | undefined {
  return /generation (\d+)/.exec(status)?.[1];
}
