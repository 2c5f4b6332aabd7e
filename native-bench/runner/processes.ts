/** What Linux says about a program and all its descendants: CPU time and memory. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

const CLOCK_TICKS_PER_SECOND = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** `pids` and all living processes below them. */
export function withDescendants(pids: readonly number[]): number[] {
  return pids.flatMap((pid) => [pid, ...withDescendants(childrenOf(pid))]);
}

/** User and system time so far, microseconds. Of a process's threads that live; of processes that ended and were waited for, all of it. */
export interface CpuTime {
  /** Of the processes and all below them. */
  readonly allUs: number;
  /** Of the processes alone. */
  readonly ownUs: number;
}

export function cpuTime(pids: readonly number[]): CpuTime {
  const all = withDescendants(pids);
  return { allUs: sum(all.map((pid) => livingUs(pid) + endedUs(pid))), ownUs: sum(pids.map(livingUs)) };
}

/** Proportional set size over these processes: shared pages are counted once in all. */
export function pssBytes(pids: readonly number[]): number {
  return sum(withDescendants(pids).map(pssOf));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** What a process that has just ended would say. */
function readOr(path: string, ended: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ended;
  }
}

function childrenOf(pid: number): number[] {
  const lists = threadsOf(pid).map((thread) => readOr(`/proc/${pid}/task/${thread}/children`, ""));
  return lists.join(" ").split(" ").filter(Boolean).map(Number);
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** The scheduler's own count, first number of schedstat, nanoseconds: clock ticks are 10 ms, a whole request of some contestants. */
function livingUs(pid: number): number {
  const threads = threadsOf(pid).map((thread) => readOr(`/proc/${pid}/task/${thread}/schedstat`, "0"));
  return sum(threads.map((text) => Number(text.split(" ")[0]))) / 1_000;
}

/**
 * Of children that ended and were waited for: fields 16 and 17 of stat, user and system time in clock ticks, counted behind the name
 * in parentheses, which may contain spaces.
 */
function endedUs(pid: number): number {
  const stat = readOr(`/proc/${pid}/stat`, "");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (sum(fields.slice(13, 15).map(Number)) * 1e6) / CLOCK_TICKS_PER_SECOND;
}

function pssOf(pid: number): number {
  const match = /^Pss:\s+(\d+) kB/m.exec(readOr(`/proc/${pid}/smaps_rollup`, ""));
  return Number(match?.[1] ?? 0) * 1_024;
}
