/** The native programs of native-bench in tests: built once on demand, run with pipes, never left behind. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { within } from "../support/until.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** BENCH_SANITIZE=1 in the environment, which make reads as well, runs all of it under the sanitizers. */
const BUILD = join(ROOT, "native-bench/native/build", process.env["BENCH_SANITIZE"] ? "sanitized" : "");
const BUILD_DEADLINE_MS = 240_000;

/** One make at a time: test files run side by side. */
export async function buildPrograms(): Promise<void> {
  const making = promisify(execFile)("flock", ["src/native/Makefile", "make", "-C", "src/native", "bench"], {
    cwd: ROOT,
  });
  await within("make bench", making, BUILD_DEADLINE_MS);
}

function start(name: string, args: readonly string[]): ChildProcess {
  const child = spawn(join(BUILD, name), args, { stdio: ["pipe", "pipe", "pipe"] });
  process.once("exit", () => child.kill("SIGKILL"));
  return child;
}

async function exitCode(child: ChildProcess): Promise<number | null> {
  const [code]: (number | null)[] = await once(child, "close");
  return code ?? null;
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that ends by itself. */
export async function runProgram(name: string, args: readonly string[]): Promise<Ended> {
  return endOf(start(name, args));
}

async function endOf(child: ChildProcess): Promise<Ended> {
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error("no pipes");
  const [code, out, errors] = await within(
    "the program's end",
    Promise.all([exitCode(child), text(stdout), text(stderr)]),
  );
  return { code, stdout: out, stderr: errors };
}

/** A mock provider that runs until `stop`. */
export class Mock {
  readonly port: number;
  private readonly child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.child = child;
    this.port = port;
  }

  static async start(...options: readonly string[]): Promise<Mock> {
    const child = start("mock", options);
    if (child.stdout === null) throw new Error("no pipes");
    const [line]: string[] = await within("the mock to listen", once(createInterface(child.stdout), "line"));
    const listening: { port: number; pid: number } = JSON.parse(line ?? "");
    if (listening.pid !== child.pid) throw new Error(`a wrong pid: ${line}`);
    return new Mock(child, listening.port);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/v1`;
  }

  /** Its exit code: it ends because its stdin does. */
  async stop(): Promise<number | null> {
    const ended = exitCode(this.child);
    this.child.stdin?.end();
    return within("the mock's end", ended);
  }
}

export interface Summary {
  readonly requests: number;
  readonly right: number;
  readonly wrong: Readonly<Record<string, number>>;
  readonly aborted: number;
  readonly events: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly seconds: number;
  readonly requestsPerSecond: number;
  readonly cpuUserUs: number;
  readonly cpuSystemUs: number;
  readonly connectionsOpened: number;
  readonly unsent: number;
  readonly lagMaxNs: number;
  readonly begun: number;
}

export interface Interval {
  readonly startMs: number;
  readonly endMs: number;
  readonly metric: string;
  readonly counts: readonly (readonly [index: number, count: number])[];
}

export interface Report {
  readonly summary: Summary;
  readonly intervals: readonly Interval[];
}

/** What a specification has, with short times; `overrides` replace what they name. */
export function specification(
  port: number,
  overrides: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  return {
    target: { host: "127.0.0.1", port },
    requests: [request()],
    mode: { kind: "closed", connections: 4 },
    warmUpMs: 0,
    durationMs: 200,
    drainMs: 5_000,
    timeoutMs: 5_000,
    intervalMs: 100,
    ...overrides,
  };
}

export function request(overrides: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const headers = [["content-type", "application/json"]];
  const expect = { status: 200, kind: "whole" };
  return { method: "POST", path: "/v1/chat/completions", headers, bodyFile: null, expect, ...overrides };
}

/** A file that is there while `use` runs. */
export async function withFile<T>(content: string | Buffer, use: (path: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "load-"));
  try {
    const path = join(directory, "file");
    writeFileSync(path, content);
    return await use(path);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

export function tryLoad(spec: unknown): Promise<Ended> {
  return withFile(JSON.stringify(spec), (path) => runProgram("load", [path]));
}

export async function load(spec: unknown): Promise<Report> {
  return reportOf(await tryLoad(spec));
}

/** Ends it with SIGTERM as soon as its measured window begins. */
export function loadUntilTerminated(spec: unknown): Promise<Report> {
  return withFile(JSON.stringify(spec), async (path) => {
    const child = start("load", [path]);
    child.stdout?.once("data", () => child.kill("SIGTERM"));
    return reportOf(await endOf(child));
  });
}

function reportOf({ code, stdout, stderr }: Ended): Report {
  if (code !== 0) throw new Error(`load ended with ${code}: ${stderr}`);
  const lines: { type: string }[] = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const summary = lines.at(-1);
  if (summary?.type !== "summary") throw new Error("load's last line is no summary");
  const intervals = lines.filter(({ type }) => type === "interval");
  return { summary: summary as unknown as Summary, intervals: intervals as unknown as Interval[] };
}

/** Values of a metric at or above an index of the histogram. */
export function countFrom({ intervals }: Report, metric: string, index = 0): number {
  const counts = intervals.filter((interval) => interval.metric === metric).flatMap((interval) => interval.counts);
  return counts.filter(([at]) => at >= index).reduce((sum, [, count]) => sum + count, 0);
}
