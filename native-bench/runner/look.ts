/**
 * What is looked at in a short load of its own, because looking disturbs: memory, and system calls. Kernel tracepoints count system
 * calls where they may be used (perf), else strace does, which stops the program at every one: it is much slower then, and does more work per
 * wake-up, so that the count is a little low. What is not available says so.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import type { Contestant } from "../contestant.ts";
import { type Interval, type LoadSite, type LoadSpec, runLoad } from "./load.ts";
import { pssBytes, withDescendants } from "./processes.ts";
import type { Look, Syscalls } from "./result.ts";

const WARM_UP_MS = 500;
const INTERVAL_MS = 50;
/** Into the measured window: when memory is read; then the tracer is attached, for so long. */
const PSS_AFTER_MS = 200;
const TRACED_MS = 900;
/** A tracer starts and ends in it. */
const MARGIN_MS = 300;
const EVENT = "raw_syscalls:sys_enter";

interface Tracer {
  readonly how: string;
  command(pids: readonly number[]): [string, string[]];
  /** Calls, by what it printed. */
  calls(output: string): number | null;
}

const perf: Tracer = {
  how: `perf stat -e ${EVENT}`,
  command: (pids) => ["perf", ["stat", "-x", ",", "-e", EVENT, "-p", pids.join(",")]],
  calls: (output) => numberIn(/^(\d+),,raw_syscalls:sys_enter/m, output),
};

const strace: Tracer = {
  how: "strace -c, which slows the program down",
  command: (pids) => ["strace", ["-f", "-c", "-U", "calls,name", ...pids.flatMap((pid) => ["-p", String(pid)])]],
  calls: (output) => numberIn(/^\s*(\d+)\s+total$/m, output),
};

function numberIn(pattern: RegExp, text: string): number | null {
  const found = pattern.exec(text)?.[1];
  return found === undefined ? null : Number(found);
}

/** The best that this machine has; a text that says why there is none. */
export function chooseTracer(): Tracer | string {
  if (spawnSync("perf", ["stat", "-e", EVENT, "true"]).status === 0) return perf;
  if (spawnSync("strace", ["-c", "-f", "true"]).status === 0) return strace;
  return "not available: perf may not use tracepoints here, and strace is not in PATH or may not trace (apt install strace)";
}

export interface LookSite {
  readonly contestant: Contestant;
  readonly spec: LoadSpec;
  readonly site: LoadSite;
  readonly tracer: Tracer | string;
  /** What a request takes at the mock provider. */
  readonly requestMs: number;
}

/** The generator counts requests that began in the measured window, so that those that run when the tracer comes must have. */
export async function look({ contestant, spec, site, tracer, requestMs }: LookSite): Promise<Look> {
  const durationMs = PSS_AFTER_MS + requestMs + TRACED_MS + 2 * MARGIN_MS;
  const short = { ...spec, warmUpMs: WARM_UP_MS, durationMs, intervalMs: INTERVAL_MS };
  const { promise: window, resolve: begin } = Promise.withResolvers<void>();
  const seen = window.then(() => see(contestant.pids(), tracer, requestMs));
  const { intervals } = await runLoad(short, site, begin);
  const { pss, traced } = await seen;
  return { contestant: contestant.name, pssBytes: pss, syscalls: syscallsOf(traced, intervals) };
}

/** Calls between two moments; a text: why there are none. */
type Traced = { readonly how: string; readonly calls: number; readonly fromMs: number; readonly toMs: number } | string;

interface Seen {
  readonly pss: number;
  readonly traced: Traced;
}

async function see(pids: readonly number[], tracer: Tracer | string, requestMs: number): Promise<Seen> {
  await delay(PSS_AFTER_MS);
  const pss = pssBytes(pids);
  if (typeof tracer === "string") return { pss, traced: tracer };
  await delay(requestMs);
  return { pss, traced: await trace(tracer, withDescendants(pids)) };
}

async function trace(tracer: Tracer, pids: readonly number[]): Promise<Traced> {
  const [command, args] = tracer.command(pids);
  const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] });
  const output = collected(child);
  const fromMs = Date.now();
  await delay(TRACED_MS);
  const toMs = Date.now();
  child.kill("SIGINT");
  const calls = tracer.calls(await output);
  return calls === null ? `not available: ${tracer.how} counted nothing` : { how: tracer.how, calls, fromMs, toMs };
}

async function collected(child: ChildProcess): Promise<string> {
  let output = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  await once(child, "close");
  return output;
}

function syscallsOf(traced: Traced, intervals: readonly Interval[]): Syscalls {
  if (typeof traced === "string") return { perRequest: null, how: traced };
  const requests = requestsBetween(intervals, traced.fromMs, traced.toMs);
  if (requests < 1) return { perRequest: null, how: "not available: nothing was answered while it was traced" };
  return { perRequest: traced.calls / requests, how: traced.how };
}

/** Answered in that time; an interval that is only partly in it counts in part. */
export function requestsBetween(intervals: readonly Interval[], fromMs: number, toMs: number): number {
  const totals = intervals.filter(({ metric }) => metric === "total");
  const parts = totals.map(({ startMs, endMs, counts }) => {
    const overlapMs = Math.min(endMs, toMs) - Math.max(startMs, fromMs);
    const requests = counts.reduce((sum, [, count]) => sum + count, 0);
    return overlapMs <= 0 ? 0 : (requests * overlapMs) / (endMs - startMs);
  });
  return parts.reduce((sum, part) => sum + part, 0);
}
