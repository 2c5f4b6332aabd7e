/** What Linux says about a program and all its descendants: CPU time and memory. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

const CLOCK_TICKS_PER_SECOND = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** `pids` and all living processes below them. */
function withDescendants(pids: readonly number[]): number[] {
  return pids.flatMap((pid) => [pid, ...withDescendants(childrenOf(pid))]);
}

/** User and system time so far, microseconds. Resolution: a clock tick, mostly 10 ms. */
export interface CpuTime {
  /** Of the processes and all below them. */
  readonly allUs: number;
  /** Of the processes alone. */
  readonly ownUs: number;
}

export function cpuTime(pids: readonly number[]): CpuTime {
  return { allUs: cpuUs(withDescendants(pids)), ownUs: cpuUs(pids) };
}

function cpuUs(pids: readonly number[]): number {
  const ticks = pids.map(ticksOf);
  return (ticks.reduce((sum, value) => sum + value, 0) * 1e6) / CLOCK_TICKS_PER_SECOND;
}

/** Proportional set size over these processes: shared pages are counted once in all. */
export function pssBytes(pids: readonly number[]): number {
  return withDescendants(pids).reduce((sum, pid) => sum + pssOf(pid), 0);
}

function childrenOf(pid: number): number[] {
  const threads = readdirSync(`/proc/${pid}/task`);
  const lists = threads.map((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8"));
  return lists.join(" ").split(" ").filter(Boolean).map(Number);
}

/** Fields 14 and 15 of stat, counted behind the name in parentheses, which may contain spaces. */
function ticksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

function pssOf(pid: number): number {
  const match = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"));
  return Number(match?.[1] ?? 0) * 1_024;
}
