/**
 * What is looked at in a short load of its own, because looking disturbs: system calls. Kernel tracepoints count system
 * calls where they may be used (perf), else strace does, which stops the program at every one: it is much slower then, and does more work per
 * wake-up, so that the count is a little low. What is not available says so.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import type { Contestant } from "../contestant.ts";
import { type Interval, type LoadSite, type LoadSpec, runLoad } from "./load.ts";
import { withDescendants } from "./processes.ts";
import type { Look, Syscalls } from "./result.ts";

const INTERVAL_MS = 50;
/** Into the measured window: then the tracer is attached. */
const TRACED_AFTER_MS = 200;
/** For so long, at most, and for this part of a turn. */
const TRACED_MS_MAX = 900;
const TRACED_SHARE = 0.45;
/** A tracer starts and ends in it. */
const MARGIN_MS = 300;
/** Values of them: requests that were answered; events of streams: the first, the further ones, and the terminal one with the answer's end. */
const REQUESTS: ReadonlySet<string> = new Set(["total"]);
const EVENTS: ReadonlySet<string> = new Set(["ttft", "gap", "total"]);
const EVENT = "raw_syscalls:sys_enter";

export interface Tracer {
  readonly how: string;
  command(pids: readonly number[]): [string, string[]];
  /** Of what it printed; null: nothing that is understood. */
  calls(output: string): number | null;
  /** Since when it counted; it ended at `toMs`, and its first words came at `firstWordMs`. */
  startMs(output: string, firstWordMs: number, toMs: number): number;
}

const perf: Tracer = {
  how: `perf stat -e ${EVENT}`,
  command: (pids) => ["perf", ["stat", "-e", EVENT, "-p", pids.join(",")]],
  calls: (output) => numberIn(/^\s*([\d,]+)\s+raw_syscalls:sys_enter/m, output),
  startMs: (output, _, toMs) => toMs - 1_000 * (numberIn(/([\d.]+) seconds time elapsed/, output) ?? 0),
};

const strace: Tracer = {
  how: "strace -c, which slows the program down",
  command: (pids) => ["strace", ["-f", "-c", "-U", "calls,name", ...pids.flatMap((pid) => ["-p", String(pid)])]],
  calls: (output) => numberIn(/^\s*(\d+)\s+total$/m, output),
  // "strace: Process 123 attached"
  startMs: (_, firstWordMs) => firstWordMs,
};

function numberIn(pattern: RegExp, text: string): number | null {
  const found = pattern.exec(text)?.[1];
  return found === undefined ? null : Number(found.replaceAll(",", ""));
}

/** The best that this machine has; a text that says why there is none. */
export function chooseTracer(): Tracer | string {
  if (perfCounts()) return perf;
  if (spawnSync("strace", ["-c", "-f", "true"]).status === 0) return strace;
  return "not available: perf may not use tracepoints here, and strace is not in PATH or may not trace (apt install strace)";
}

/** It may be allowed to run, and still not to count. */
function perfCounts(): boolean {
  const trial = spawnSync("perf", ["stat", "-e", EVENT, "true"], { encoding: "utf8" });
  return trial.status === 0 && (perf.calls(trial.stderr) ?? 0) > 0;
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
  const tracedMs = Math.min(TRACED_MS_MAX, spec.durationMs * TRACED_SHARE);
  const durationMs = TRACED_AFTER_MS + requestMs + tracedMs + 2 * MARGIN_MS;
  const { promise: window, resolve: begin } = Promise.withResolvers<void>();
  const waitMs = TRACED_AFTER_MS + requestMs;
  const tracing = window.then(() => traceAfter(waitMs, contestant.pids(), tracer, tracedMs));
  const watch = { onWindow: begin };
  const { intervals } = await runLoad({ ...spec, durationMs, intervalMs: INTERVAL_MS }, site, watch);
  const hasEvents = spec.requests.every(({ expect }) => expect.kind === "stream");
  return { contestant: contestant.name, syscalls: syscallsOf(await tracing, intervals, hasEvents) };
}

/** Calls between two moments; a text: why there are none. */
type Traced = { readonly how: string; readonly calls: number; readonly fromMs: number; readonly toMs: number } | string;

async function traceAfter(
  waitMs: number,
  pids: readonly number[],
  tracer: Tracer | string,
  tracedMs: number,
): Promise<Traced> {
  if (typeof tracer === "string") return tracer;
  await delay(waitMs);
  return trace(tracer, withDescendants(pids), tracedMs);
}

async function trace(tracer: Tracer, pids: readonly number[], tracedMs: number): Promise<Traced> {
  const [command, args] = tracer.command(pids);
  const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, LC_ALL: "C" } });
  const collecting = collected(child);
  await delay(tracedMs);
  const toMs = Date.now();
  child.kill("SIGINT");
  const { output, firstWordMs } = await collecting;
  const calls = tracer.calls(output);
  if (calls === null) return `not available: ${tracer.how} counted nothing`;
  return { how: tracer.how, calls, fromMs: tracer.startMs(output, firstWordMs, toMs), toMs };
}

async function collected(child: ChildProcess): Promise<{ output: string; firstWordMs: number }> {
  let output = "";
  let firstWordMs = 0;
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    if (output === "") firstWordMs = Date.now();
    output += text;
  });
  await once(child, "close");
  return { output, firstWordMs };
}

function syscallsOf(traced: Traced, intervals: readonly Interval[], hasEvents: boolean): Syscalls {
  if (typeof traced === "string") return { perRequest: null, perEvent: null, how: traced };
  const { calls, how, fromMs, toMs } = traced;
  const requests = countBetween(intervals, REQUESTS, fromMs, toMs);
  if (requests < 1)
    return { perRequest: null, perEvent: null, how: "not available: nothing was answered while it was traced" };
  const perEvent = hasEvents ? calls / countBetween(intervals, EVENTS, fromMs, toMs) : null;
  return { perRequest: calls / requests, perEvent, how };
}

/** Values of these metrics in that time; an interval that is only partly in it counts in part. */
export function countBetween(
  intervals: readonly Interval[],
  metrics: ReadonlySet<string>,
  fromMs: number,
  toMs: number,
): number {
  const counted = intervals.filter(({ metric }) => metrics.has(metric));
  const parts = counted.map(({ startMs, endMs, counts }) => {
    const overlapMs = Math.min(endMs, toMs) - Math.max(startMs, fromMs);
    const values = counts.reduce((sum, [, count]) => sum + count, 0);
    return overlapMs <= 0 ? 0 : (values * overlapMs) / (endMs - startMs);
  });
  return parts.reduce((sum, part) => sum + part, 0);
}
