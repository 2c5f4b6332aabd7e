/** The first installation, and what an administrator finds then. Runs inside the booted Debian tree, as root. */
import { equal, match, ok } from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { output, run } from "./command.ts";
import { CONFIG, type Gateway, STATE } from "./gateway.ts";
import type { Step } from "./step.ts";

/** Mode, owner and group of what the installation makes. */
const OWNED = {
  [CONFIG]: "640 root:sluice",
  "/etc/sluice/keys.yaml": "640 root:sluice",
  "/etc/sluice/first-key": "600 root:root",
  [STATE]: "750 sluice:sluice",
  "/var/log/sluice": "750 sluice:sluice",
} as const;
/** In tenths, of 100. */
const EXPOSURE_MAX = "15";

export function installSteps(gateway: Gateway, file: string): readonly Step[] {
  let said = "";
  return [
    {
      name: "installed",
      run: async () => {
        said = await output("dpkg", "--install", file);
        equal(await output("systemctl", "is-active", "sluice"), "active");
        equal(await output("systemctl", "is-enabled", "sluice"), "enabled");
        equal(await output("dpkg", "--verify", "sluice"), "");
        equal(await output("sysctl", "--values", "net.ipv4.tcp_migrate_req"), "1");
        return "the service runs, is enabled, and dpkg --verify finds nothing";
      },
    },
    { name: "users and modes", run: async () => usersAndModes(gateway, said) },
    { name: "the command that the installation printed", run: async () => printedCommand(said) },
    { name: "shown", run: shown },
    {
      name: "exposure",
      run: async () => {
        const text = await output("systemd-analyze", "security", `--threshold=${EXPOSURE_MAX}`, "--no-pager", "sluice");
        return text.split("\n").at(-1)?.replace(/^\W+/, "") ?? "";
      },
    },
  ];
}

async function usersAndModes(gateway: Gateway, said: string): Promise<string> {
  for (const [path, expected] of Object.entries(OWNED))
    equal(await output("stat", "--format=%a %U:%G", path), expected, path);
  const pids = [await gateway.mainPid(), ...(await gateway.workerPids())];
  ok(pids.length > 1);
  for (const pid of pids) equal(await output("ps", "-o", "user=,group=", "-p", String(pid)), "sluice   sluice");
  const key = (await readFile("/etc/sluice/first-key", "utf8")).trim();
  match(key, /^sk-sluice-/);
  ok(!said.includes(key), "the key is in the output of the installation");
  return `${Object.keys(OWNED).length} paths, ${pids.length} processes of sluice:sluice`;
}

/** As it is pasted from the terminal; and once more as a stream. */
async function printedCommand(said: string): Promise<string> {
  const lines = said.split("\n").map((line) => line.replace(/^sluice: /, ""));
  const start = lines.findIndex((line) => line.trim().startsWith("curl "));
  const command = lines.slice(start, start + 2).join("\n");
  const whole = JSON.parse(await output("sh", "-c", command.replace("curl ", "curl --silent --show-error ")));
  equal(whole.object, "chat.completion");
  const streamed = command.replace("curl ", "curl --silent --show-error --no-buffer ").replace("{", '{"stream":true,');
  const events = (await output("sh", "-c", streamed)).split("\n\n");
  equal(events.at(-1), "data: [DONE]");
  ok(events.length > 2, `${events.length} events`);
  return `answered whole and in ${events.length} events`;
}

async function shown(): Promise<string> {
  const { text } = await run("systemctl", "status", "--no-pager", "sluice");
  const [, status = ""] = /Status: "(.*)"/.exec(text) ?? [];
  match(status, /^\d+ workers serve; 0 requests in flight; generation 1$/);
  match(await output("man", "1", "sluice"), /sluice restart/);
  match(await output("man", "5", "sluice.yaml"), /data_dir/);
  match(await output("logrotate", "--debug", "/etc/logrotate.d/sluice"), /access\.ndjson|\/var\/log\/sluice/);
  match(await output("sluice", "usage"), /demo-chat/);
  return `status "${status}", two manual pages, usage`;
}
