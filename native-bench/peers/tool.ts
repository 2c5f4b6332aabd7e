/**
 * Package managers and compilers, run to their end within a deadline. They see the user's whole environment, and so the
 * registries that the user has chosen; nothing of it is written anywhere.
 */
import { type ChildProcess, spawn } from "node:child_process";
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
}

/** What it wrote to its standard output; fails with Unavailable. */
export async function runTool(task: Task): Promise<string> {
  const { peer, tool, args, directory, environment = {}, deadlineMs } = task;
  // A process group of its own, so that a deadline ends compilers below it as well.
  const child = spawn(tool, args, {
    cwd: directory,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const [output, errors] = [keptOutput(child.stdout), keptOutput(child.stderr)];
  const status = await statusOf(child, deadlineMs);
  if (status === 0) return output.text;
  throw new Unavailable(peer, reason(task, status, `${output.text}\n${errors.text}`));
}

function reason({ tool, args, deadlineMs }: Task, status: Status, output: string): string {
  if (status === "missing") return `${tool} is not in PATH`;
  if (status === "late") return `${tool} ${args[0]} took longer than ${deadlineMs / 1_000} s`;
  return `${tool} ${args[0]} failed (${status}): ${output}`;
}

function keptOutput(stream: NodeJS.ReadableStream): { text: string } {
  const kept = { text: "" };
  stream.setEncoding("utf8").on("data", (text: string) => {
    kept.text = (kept.text + text).slice(-OUTPUT_KEPT_CHARACTERS);
  });
  return kept;
}

type Status = number | "missing" | "late" | "killed";

function statusOf(child: ChildProcess, deadlineMs: number): Promise<Status> {
  const { promise, resolve } = Promise.withResolvers<Status>();
  const endGroup = () => killGroup(child.pid);
  const late = setTimeout(() => {
    resolve("late");
    endGroup();
  }, deadlineMs);
  process.once("exit", endGroup);
  child.once("error", () => resolve("missing"));
  child.once("close", (code) => resolve(code ?? "killed"));
  return promise.finally(() => {
    clearTimeout(late);
    process.removeListener("exit", endGroup);
  });
}

/** All processes of the group that `pid` leads, if there are any. */
export function killGroup(pid: number | undefined): void {
  if (pid === undefined || pid === 0) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nobody is left in it.
  }
}
