/** After a reboot; removing and purging. Runs inside the booted Debian tree, as root. */
import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { readRecords } from "../support/usage-db.ts";
import { audited, requireBooks, requireNoneFailed } from "./audited.ts";
import { output, run } from "./command.ts";
import { CONFIG, type Gateway, STATE } from "./gateway.ts";
import { CREDENTIAL_FILE, DROP_INS, type Provider } from "./provider.ts";
import type { Step } from "./step.ts";

/** How many records there were before the reboot. */
const NOTE = "/var/tmp/records-before-reboot";
const KEPT = [CONFIG, "/etc/sluice/keys.yaml", "/etc/sluice/first-key", "/etc/logrotate.d/sluice", `${STATE}/usage.db`];
const GONE = ["/usr/bin/sluice", "/usr/lib/sluice", "/lib/systemd/system/sluice.service", "/run/sluice"];

export function noteSteps(): readonly Step[] {
  return [
    {
      name: "before the reboot",
      run: async () => {
        const count = readRecords(STATE).length;
        writeFileSync(NOTE, String(count));
        return `${count} records`;
      },
    },
  ];
}

export function leaveSteps(gateway: Gateway, provider: Provider, file: string): readonly Step[] {
  return [
    { name: "up by itself after the reboot", run: () => upByItself(gateway) },
    { name: "serves after the reboot", run: () => servesAgain(gateway, provider) },
    { name: "removed", run: () => removed(gateway) },
    { name: "installed again", run: () => installedAgain(gateway, file) },
    { name: "purged", run: purged },
  ];
}

async function upByItself(gateway: Gateway): Promise<string> {
  await gateway.untilReady();
  equal(await gateway.property("ActiveState"), "active");
  equal(await output("sysctl", "--values", "net.ipv4.tcp_migrate_req"), "1");
  const count = readRecords(STATE).length;
  equal(count, Number(readFileSync(NOTE, "utf8")));
  ok((await output("sluice", "usage")).includes("gpt-4o"));
  return `all ${count} records are there`;
}

async function servesAgain(gateway: Gateway, provider: Provider): Promise<string> {
  await provider.install(gateway);
  const report = await audited(gateway, provider, async () => {});
  requireNoneFailed(report);
  requireBooks(report);
  return `${report.requests} requests, each in every book once`;
}

async function removed(gateway: Gateway): Promise<string> {
  await output("dpkg", "--remove", "sluice");
  deepEqual(
    KEPT.filter((path) => !existsSync(path)),
    [],
  );
  deepEqual(GONE.filter(existsSync), []);
  equal((await run("systemctl", "is-active", "sluice")).text.trim(), "inactive");
  notEqual((await run("systemctl", "cat", "sluice")).code, 0);
  ok(!(await gateway.isReady()));
  match(await output("dpkg", "--list", "sluice"), /^rc {2}sluice/m);
  return "the service ended; configuration, keys and records are kept";
}

async function installedAgain(gateway: Gateway, file: string): Promise<string> {
  const count = readRecords(STATE).length;
  await output("dpkg", "--install", file);
  await gateway.untilReady();
  equal(await output("systemctl", "is-enabled", "sluice"), "enabled");
  ok(readRecords(STATE).length >= count);
  return "with the configuration and the records from before";
}

/** What the administrator made is for the administrator to remove. */
async function purged(): Promise<string> {
  for (const path of [DROP_INS, CREDENTIAL_FILE]) rmSync(path, { recursive: true });
  await output("dpkg", "--purge", "sluice");
  // The last one is of man-db, which looks after it once a day.
  const pruned = ["/proc", "/sys", "/srv", "/var/cache/man"].flatMap((path) => ["-path", path, "-prune", "-o"]);
  equal(await output("find", "/", ...pruned, "-name", "*sluice*", "-print"), "");
  equal((await run("systemctl", "is-enabled", "sluice")).code, 1);
  equal(await output("systemctl", "--failed", "--quiet", "--no-legend"), "");
  equal(await output("id", "--user", "--name", "sluice"), "sluice");
  return "nothing is left but the user";
}
