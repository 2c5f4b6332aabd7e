/** Where and with what the figures were measured: part of every result. */
import { execFileSync } from "node:child_process";
import { cpus, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  /** With "+" for a tree that was changed since. */
  readonly commit: string;
}

export function machine(): Machine {
  const cores = cpus();
  const cpu = cores[0]?.model ?? "unknown";
  return {
    cpu,
    cores: cores.length,
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    commit: commit(),
  };
}

function git(...args: string[]): string {
  return execFileSync("git", args, { cwd: ROOT, encoding: "utf8" }).trim();
}

function commit(): string {
  try {
    const changed = git("status", "--porcelain", "--untracked-files=no") !== "";
    return git("rev-parse", "--short", "HEAD") + (changed ? "+" : "");
  } catch {
    return "unknown";
  }
}
