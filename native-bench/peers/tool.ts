/**
 * Package managers and compilers, run to their end within a deadline. They see the user's whole environment, and so the
 * registries that the user has chosen; nothing of it is written anywhere.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { basename } from "node:path";
import { withDescendants } from "../runner/processes.ts";
import { Unavailable } from "./unavailable.ts";

const OUTPUT_KEPT_CHARACTERS = 20_000;

export interface Task {
  /** For whom. */
  readonly peer: string;
  readonly tool: string;
  readonly args: readonly string[];
  readonly directory: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly deadlineMs: number;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** What it wrote to its standard output; fails with Unavailable. */
export async function runTool(task: Task): Promise<string> {
  const { peer, tool, args, directory, environment = {} } = task;
  if (task.signal.aborted) throw new Unavailable(peer, reason(task, "ended", ""));
  const env = { ...process.env, ...environment };
  const child = spawn(tool, args, { cwd: directory, env, stdio: ["ignore", "pipe", "pipe"] });
  const [output, errors] = [keptOutput(child.stdout), keptOutput(child.stderr)];
  const status = await statusOf(child, task);
  if (status === 0) return output.text;
  throw new Unavailable(peer, reason(task, status, `${output.text}\n${errors.text}`));
}

function reason({ tool, args, deadlineMs }: Task, status: Status, output: string): string {
  if (status === "missing") return `${tool} is not in PATH`;
  const what = [basename(tool), ...args.slice(0, 2).filter((each) => !each.startsWith("--"))].join(" ");
  if (status === "ended") return `${what} was ended with the benchmark`;
  if (status === "late") return `${what} took longer than ${deadlineMs / 1_000} s`;
  return `${what} failed (${status}): ${output}`;
}

function keptOutput(stream: NodeJS.ReadableStream): { text: string } {
  const kept = { text: "" };
  stream.setEncoding("utf8").on("data", (text: string) => {
    kept.text = (kept.text + text).slice(-OUTPUT_KEPT_CHARACTERS);
  });
  return kept;
}

type Status = number | "missing" | "late" | "ended" | "killed";

function statusOf(child: ChildProcess, { deadlineMs, signal }: Task): Promise<Status> {
  const { promise, resolve } = Promise.withResolvers<Status>();
  const end = (status: Status) => {
    resolve(status);
    killTree(child);
  };
  const late = setTimeout(end, deadlineMs, "late");
  const abort = () => end("ended");
  signal.addEventListener("abort", abort);
  process.once("exit", abort);
  child.once("error", () => resolve("missing"));
  child.once("close", (code) => resolve(code ?? "killed"));
  return promise.finally(() => {
    clearTimeout(late);
    signal.removeEventListener("abort", abort);
    process.removeListener("exit", abort);
  });
}

/** With the compilers that it started, and the like. */
function killTree({ pid }: ChildProcess): void {
  for (const each of pid === undefined ? [] : withDescendants([pid])) kill(each);
}

/** All processes of the group that `pid` leads, if there are any. */
export function killGroup(pid: number): void {
  if (pid > 0) kill(-pid);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Nobody is there any more.
  }
}
