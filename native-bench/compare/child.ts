/** A program of the comparison: started with pipes, ended by its pid and never left behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";

const END_DEADLINE_MS = 15_000;
const POLL_MS = 50;
const OUTPUT_KEPT_CHARACTERS = 4_000;

export class Child {
  readonly pid: number;
  private readonly process: ChildProcess;
  private readonly ended: Promise<unknown>;
  private output = "";

  constructor(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.process = spawn(command, args, { env: { ...process.env, ...env }, stdio: "pipe" });
    this.pid = this.process.pid ?? 0;
    this.ended = once(this.process, "exit");
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => this.keep(text));
    }
    process.once("exit", () => this.process.kill("SIGKILL"));
  }

  private keep(text: string): void {
    this.output = (this.output + text).slice(-OUTPUT_KEPT_CHARACTERS);
  }

  /** The first line of its stdout. */
  async firstLine(): Promise<string> {
    const [line]: string[] = await once(createInterface({ input: this.process.stdout ?? process.stdin }), "line");
    return line ?? "";
  }

  /** Waits until `probe` succeeds; fails with what the program said when it ended or `deadlineMs` have passed. */
  async until(probe: () => Promise<boolean>, deadlineMs: number): Promise<void> {
    const end = performance.now() + deadlineMs;
    while (!(await probe())) {
      const over = this.process.exitCode !== null || performance.now() > end;
      if (over) throw new Error(`${this.process.spawnfile} is not ready: ${this.output}`);
      await delay(POLL_MS);
    }
  }

  /** Ends it with `signal`, and with SIGKILL when that does not help. */
  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.process.exitCode !== null) return;
    this.process.kill(signal);
    const late = new AbortController();
    const kill = delay(END_DEADLINE_MS, undefined, { signal: late.signal }).then(
      () => this.process.kill("SIGKILL"),
      () => false,
    );
    await this.ended;
    late.abort();
    await kill;
  }
}
