/** A child program of a test: spawned with pipes, its stderr kept, and never left behind when the test process ends. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { DEADLINE_MS, within } from "./until.ts";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const STDERR_KEPT_CHARACTERS = 4_000_000;

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
    this.ended = this.watchEnd();
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => this.keep(text));
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => this.keepOutput(text));
    process.once("exit", () => this.child.kill("SIGKILL"));
  }

  private async watchEnd(): Promise<number | string> {
    const [code, signal]: [number | null, string | null] = await exitOf(this.child);
    this.outcome = code ?? signal ?? "unknown";
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
