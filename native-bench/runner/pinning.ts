/**
 * Which CPUs the load generator, the mock provider and the contestant run on, so that they do not take each other's time
 * unnoticed. What must hold: the contestant never shares a CPU with the load or the mock when there are two CPUs or more.
 *
 * With two CPUs, load and mock share one, because both are native and cost less than any contestant, and the contestant has the
 * other for all of its processes. From three on, load and mock have one each, and the contestant has the rest.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { isInstalled } from "./requirement.ts";

export interface Pinning {
  /** Lists as taskset takes them, "2-3,5"; null: not pinned. */
  readonly load: string | null;
  readonly mock: string | null;
  readonly contestant: string | null;
  /** Why it is as it is, for the report. */
  readonly reason: string;
}

/** `workers`: of a contestant; with fewer CPUs than that for it, the kernel does better. */
export function choosePinning(cpus: readonly number[], workers: number): Pinning {
  const [first, second, ...rest] = cpus;
  if (first === undefined || second === undefined) return notPinned("there is one CPU only");
  const own = rest.length === 0 ? [second] : rest;
  if (workers > own.length) return notPinned(`${workers} workers are more than the CPUs that a contestant can have`);
  if (rest.length === 0) {
    const reason = "two CPUs: load and mock share one, the contestant has the other";
    return { load: `${first}`, mock: `${first}`, contestant: `${second}`, reason };
  }
  const reason = "load and mock have a CPU each, the contestant the rest";
  return { load: `${first}`, mock: `${second}`, contestant: own.join(","), reason };
}

function notPinned(reason: string): Pinning {
  return { load: null, mock: null, contestant: null, reason: `not pinned: ${reason}` };
}

export function pinning(isWanted: boolean, workers: number): Pinning {
  if (!isWanted) return notPinned("--unpinned");
  if (!isInstalled("taskset", "--version")) return notPinned("taskset is not in PATH (apt install util-linux)");
  return choosePinning(allowedCpus(), workers);
}

/** The CPUs that this process may use. */
export function allowedCpus(): number[] {
  const match = /^Cpus_allowed_list:\s+(\S+)/m.exec(readFileSync("/proc/self/status", "utf8"));
  return parseCpuList(match?.[1] ?? "0");
}

/** "0-2,5" as [0, 1, 2, 5]. */
export function parseCpuList(list: string): number[] {
  return list.split(",").flatMap((range) => {
    const [from = 0, to = from] = range.split("-").map(Number);
    return Array.from({ length: to - from + 1 }, (_, offset) => from + offset);
  });
}

/**
 * Runs `work` with this process on `cpus`; what it spawns meanwhile stays there, and sizes its thread pools for so many. Then
 * back to where it was. One at a time.
 */
export async function onCpus<T>(cpus: string | null, work: () => Promise<T>): Promise<T> {
  if (cpus === null) return work();
  const before = allowedCpus().join(",");
  moveTo(cpus);
  try {
    return await work();
  } finally {
    moveTo(before);
  }
}

function moveTo(cpus: string): void {
  execFileSync("taskset", ["--all-tasks", "--pid", "--cpu-list", cpus, String(process.pid)], { stdio: "ignore" });
}

/** A command line that runs `command` on `cpus`. */
export function pinnedCommand(cpus: string | null, command: string, args: readonly string[]): [string, string[]] {
  return cpus === null ? [command, [...args]] : ["taskset", ["--cpu-list", cpus, command, ...args]];
}
