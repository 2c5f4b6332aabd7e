/** A child program of a test: spawned with pipes, its stderr kept, and never left behind when the test process ends. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Socket } from "node:net";
import { createInterface } from "node:readline";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { childrenOf } from "./process-tree.ts";
import { DEADLINE_MS, within } from "./until.ts";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const STDERR_KEPT_CHARACTERS = 4_000_000;

/** Those that run. */
const running = new Set<Program>();

// A test that failed did not come to where it stops what it started, and that would keep this process up to the runner's limit.
// Only now: before, the tests wait for what their programs do.
if (process.env["NODE_TEST_CONTEXT"] !== undefined) {
  after(() => {
    for (const program of running) program.letGo();
  });
}
process.once("exit", () => {
  for (const program of running) program.kill();
});

export class Program {
  readonly pid: number;
  /** Resolves when the program has ended: its exit code, or the name of the signal that killed it. */
  readonly ended: Promise<number | string>;
  /** null while it runs. */
  outcome: number | string | null = null;
  private readonly child: ChildProcess;
  private errors = "";
  private output = "";

  /** `through`: a command that becomes the one behind it, such as nsenter. */
  constructor(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
    cwd = ROOT,
    through: readonly string[] = [],
  ) {
    const runtime = [process.execPath, "--disable-warning=ExperimentalWarning"];
    const [command = "", ...argv] = [...through, ...runtime, ...args];
    this.child = spawn(command, argv, {
      cwd,
      env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.pid = this.child.pid ?? 0;
    running.add(this);
    this.ended = this.watchEnd();
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => this.keep(text));
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => this.keepOutput(text));
  }

  private async watchEnd(): Promise<number | string> {
    const [code, signal]: [number | null, string | null] = await exitOf(this.child);
    this.outcome = code ?? signal ?? "unknown";
    running.delete(this);
    return this.outcome;
  }

  private keep(text: string): void {
    this.errors = (this.errors + text).slice(-STDERR_KEPT_CHARACTERS);
  }

  private keepOutput(text: string): void {
    this.output = (this.output + text).slice(-STDERR_KEPT_CHARACTERS);
  }

  /** Everything it wrote to stderr. */
  stderr(): string {
    return this.errors;
  }

  /** Everything it wrote to stdout. */
  stdout(): string {
    return this.output;
  }

  /** The first line of its stdout. */
  async firstLine(): Promise<string> {
    const lines = createInterface({ input: this.child.stdout ?? process.stdin });
    const line = once(lines, "line").then(([text]: string[]) => text ?? "");
    const early = this.ended.then((how) => Promise.reject(new Error(`ended with ${how}: ${this.errors}`)));
    return within("a line on stdout", Promise.race([line, early]));
  }

  /** This process does not go on because of it; it ends with it. */
  letGo(): void {
    this.child.unref();
    for (const stream of this.child.stdio) if (stream instanceof Socket) stream.unref();
  }

  /** kill -9, with what it started. */
  kill(): void {
    const children = childrenOf(this.pid, "");
    this.child.kill("SIGKILL");
    for (const pid of children) process.kill(pid, "SIGKILL");
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Closes its stdin. */
  closeInput(): void {
    this.child.stdin?.end();
  }

  /** Waits for the end of the program. */
  async end(deadlineMs = DEADLINE_MS): Promise<number | string> {
    return within(`the end of process ${this.pid}`, this.ended, deadlineMs);
  }
}

async function exitOf(child: ChildProcess): Promise<[number | null, string | null]> {
  const [code, signal] = await once(child, "exit");
  return [code, signal];
}
