/**
 * A program of the benchmark: started with pipes, ended by its pid and never left behind, not when this process is killed
 * either: the kernel then sends it SIGTERM (setpriv of util-linux).
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";

const END_DEADLINE_MS = 15_000;
const POLL_MS = 50;
const OUTPUT_KEPT_CHARACTERS = 4_000;
const CAN_TIE = spawnSync("setpriv", ["--pdeathsig", "TERM", "true"]).status === 0;
const TIE = ["setpriv", "--pdeathsig", "TERM"];

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export class Child {
  readonly pid: number;
  private readonly command: string;
  private readonly process: ChildProcess;
  private readonly ended: Promise<void>;
  private isEnded = false;
  private output = "";

  constructor(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.command = command;
    const [program = command, ...all] = [...(CAN_TIE ? TIE : []), command, ...args];
    this.process = spawn(program, all, { env: { ...process.env, ...env }, stdio: "pipe" });
    this.pid = this.process.pid ?? 0;
    this.ended = this.watchEnd();
    running.add(this.process);
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => this.keep(text));
    }
  }

  private watchEnd(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const end = () => {
      this.isEnded = true;
      running.delete(this.process);
      resolve();
    };
    this.process.once("exit", end);
    this.process.once("error", (error) => {
      this.keep(error.message);
      end();
    });
    return promise;
  }

  private keep(text: string): void {
    this.output = (this.output + text).slice(-OUTPUT_KEPT_CHARACTERS);
  }

  /** The first line of its stdout; fails with what the program said when it ends without one. */
  async firstLine(): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    const lines = createInterface({ input: this.process.stdout ?? process.stdin }).once("line", resolve);
    const line = await Promise.race([promise, this.ended]);
    lines.close();
    this.process.stdout?.resume();
    if (line === undefined) throw new Error(`${this.command} has ended: ${this.output}`);
    return line;
  }

  /** Waits until `probe` succeeds; fails with what the program said when it ended or `deadlineMs` have passed. */
  async until(probe: () => Promise<boolean>, deadlineMs: number): Promise<void> {
    const end = performance.now() + deadlineMs;
    while (!(await probe())) {
      if (this.isEnded || performance.now() > end) throw new Error(`${this.command} is not ready: ${this.output}`);
      await delay(POLL_MS);
    }
  }

  /** Ends it with `signal`, and with SIGKILL when that does not help. */
  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.isEnded) return;
    this.process.kill(signal);
    const late = setTimeout(() => this.process.kill("SIGKILL"), END_DEADLINE_MS);
    await this.ended;
    clearTimeout(late);
  }
}
