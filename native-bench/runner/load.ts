/**
 * One run of the load generator, native-bench/native/load.cc: its specification, and what it reports. What must hold: it ends, by
 * itself or at a deadline, and with this process.
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { pinnedCommand } from "./pinning.ts";

const PROGRAM = fileURLToPath(new URL("../native/build/load", import.meta.url));
/** Beyond what the specification takes: its start and its report. */
const GRACE_MS = 10_000;
const ERRORS_KEPT_CHARACTERS = 4_000;

export interface ExpectedAnswer {
  readonly status: number;
  readonly kind: "whole" | "stream";
  /** Null: not checked. */
  readonly bytes: number | null;
  readonly crc32: string | null;
  readonly events: number | null;
}

export interface LoadRequest {
  /** Null: it has no metric of its own. */
  readonly name: string | null;
  readonly weight: number;
  readonly method: "POST";
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly bodyFile: string;
  readonly expect: ExpectedAnswer;
}

export interface LoadSpec {
  readonly target: { readonly host: "127.0.0.1"; readonly port: number };
  readonly requests: readonly LoadRequest[];
  readonly mode:
    | { readonly kind: "closed"; readonly connections: number }
    | { readonly kind: "open"; readonly ratePerSecond: number; readonly connectionsMax: number };
  readonly warmUpMs: number;
  readonly durationMs: number;
  readonly drainMs: number;
  readonly timeoutMs: number;
  readonly intervalMs: number;
  readonly requestsPerConnection: number;
  readonly abort: { readonly share: number; readonly afterEvents: number } | null;
  readonly idleConnections: number;
  readonly threads: number;
  /** Connections stay open for so long after the report, unless it is told to end before. */
  readonly holdMs: number;
}

const count = z.number().min(0);

const intervalSchema = z.object({
  type: z.literal("interval"),
  startMs: z.number(),
  endMs: z.number(),
  /** "total", "ttft", "gap", or what requests are named. */
  metric: z.string(),
  counts: z.array(z.tuple([count, count])),
});

export const loadSummarySchema = z.object({
  /** Of the measured window, ended in any way. */
  requests: count,
  right: count,
  /** By reason. */
  wrong: z.record(z.string(), count),
  aborted: count,
  events: count,
  bytesIn: count,
  bytesOut: count,
  seconds: z.number(),
  requestsPerSecond: count,
  cpuUserUs: count,
  cpuSystemUs: count,
  connectionsOpened: count,
  unsent: count,
  lagMaxNs: count,
  /** Requests of the whole run, warm-up included. */
  begun: count,
});

const lineSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("window") }),
  intervalSchema,
  loadSummarySchema.extend({ type: z.literal("summary") }),
]);

export type Interval = z.infer<typeof intervalSchema>;
export type LoadSummary = z.infer<typeof loadSummarySchema>;

export interface LoadReport {
  readonly summary: LoadSummary;
  readonly intervals: readonly Interval[];
}

export interface LoadSite {
  /** For the file of the specification. */
  readonly directory: string;
  /** As taskset takes them; null: any. */
  readonly cpus: string | null;
  /** Ends the load, and the wait for it. */
  readonly signal: AbortSignal;
}

export interface LoadWatch {
  /** The measured window begins. */
  readonly onWindow?: () => void;
  /** All was reported, and the connections are still there; when it returns, they end. */
  readonly whileHeld?: () => void;
}

export async function runLoad(spec: LoadSpec, site: LoadSite, watch: LoadWatch = {}): Promise<LoadReport> {
  const file = `${site.directory}/load.json`;
  writeFileSync(file, JSON.stringify(spec));
  const deadlineMs = spec.warmUpMs + spec.durationMs + spec.drainMs + spec.holdMs + GRACE_MS;
  const signal = AbortSignal.any([site.signal, AbortSignal.timeout(deadlineMs)]);
  const [command, args] = pinnedCommand(site.cpus, PROGRAM, [file]);
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], signal, killSignal: "SIGKILL" });
  const failed = failureOf(child);
  const report = readReport(createInterface({ input: child.stdout }), watch, () => child.kill("SIGTERM"));
  const [read, problem] = await Promise.all([report, failed]);
  if (problem !== null) throw new Error(`load: ${problem}`);
  if (read.summary === null) throw new Error("load: ended without a summary");
  return { summary: read.summary, intervals: read.intervals };
}

/** What it said when it did not end well; null when it did. */
function failureOf(child: ReturnType<typeof spawn>): Promise<string | null> {
  let errors = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    errors = (errors + text).slice(-ERRORS_KEPT_CHARACTERS);
  });
  const { promise, resolve } = Promise.withResolvers<string | null>();
  child.once("error", (error) => resolve(error.message));
  child.once("close", (code, signal) => resolve(code === 0 ? null : `${signal ?? `exit code ${code}`}: ${errors}`));
  return promise;
}

interface Lines {
  readonly summary: LoadSummary | null;
  readonly intervals: readonly Interval[];
}

async function readReport(lines: AsyncIterable<string>, watch: LoadWatch, end: () => void): Promise<Lines> {
  const intervals: Interval[] = [];
  let summary: LoadSummary | null = null;
  for await (const text of lines) {
    const line = lineSchema.parse(JSON.parse(text));
    if (line.type === "interval") intervals.push(line);
    if (line.type === "window") watch.onWindow?.();
    if (line.type !== "summary") continue;
    summary = line;
    watch.whileHeld?.();
    end();
  }
  return { summary, intervals };
}
