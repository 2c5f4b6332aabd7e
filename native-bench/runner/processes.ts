/** What Linux says about a program and all its descendants: CPU time and memory. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

const CLOCK_TICKS_PER_SECOND = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** `pids` and all living processes below them. */
export function withDescendants(pids: readonly number[]): number[] {
  return pids.flatMap((pid) => [pid, ...withDescendants(childrenOf(pid))]);
}

/** User and system time so far, microseconds. Resolution: a clock tick, mostly 10 ms, per process. */
export interface CpuTime {
  /** Of the processes and all below them, those that ended included. */
  readonly allUs: number;
  /** Of the processes alone. */
  readonly ownUs: number;
}

export function cpuTime(pids: readonly number[]): CpuTime {
  const all = withDescendants(pids).map(ticksOf);
  const own = pids.map(ticksOf);
  return {
    allUs: microseconds(all.map((each) => each.own + each.ended)),
    ownUs: microseconds(own.map((each) => each.own)),
  };
}

/** Proportional set size over these processes: shared pages are counted once in all. */
export function pssBytes(pids: readonly number[]): number {
  return withDescendants(pids).reduce((sum, pid) => sum + pssOf(pid), 0);
}

function microseconds(ticks: readonly number[]): number {
  return (ticks.reduce((sum, value) => sum + value, 0) * 1e6) / CLOCK_TICKS_PER_SECOND;
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

/**
 * Fields 14 to 17 of stat: user and system time of the process, then of its children that ended and were waited for. They are counted
 * behind the name in parentheses, which may contain spaces.
 */
function ticksOf(pid: number): { own: number; ended: number } {
  const stat = readOr(`/proc/${pid}/stat`, "");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = fields.slice(11, 15).map(Number);
  return { own: user + system, ended: endedUser + endedSystem };
}

function pssOf(pid: number): number {
  const match = /^Pss:\s+(\d+) kB/m.exec(readOr(`/proc/${pid}/smaps_rollup`, ""));
  return Number(match?.[1] ?? 0) * 1_024;
}
