/** What the comparison needs from the machine, and what to do about it when it is not there. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** Two connections per client, and some to spare. */
const OPEN_FILES_MIN = 4_096;
const TOOLS = [
  { name: "wrk", args: ["-v"], advice: "apt install wrk" },
  { name: "nginx", args: ["-v"], advice: "apt install nginx-light (its service need not run)" },
];

/** What is missing, one line each; empty: nothing. */
export function missingRequirements(): string[] {
  const tools = TOOLS.filter(({ name, args }) => spawnSync(name, args).error !== undefined);
  const missing = tools.map(({ name, advice }) => `${name} is not in PATH: ${advice}`);
  return hardOpenFiles() < OPEN_FILES_MIN
    ? [...missing, `open files are limited: ulimit -Hn ${OPEN_FILES_MIN}`]
    : missing;
}

/** The hard limit: Node raises its own soft limit to it at the start, and what it starts inherits that. */
function hardOpenFiles(): number {
  const match = /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"));
  return Number(match?.[1] ?? Number.POSITIVE_INFINITY);
}
