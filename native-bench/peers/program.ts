/**
 * A peer's program: what is started, in a directory and an environment of its own. It gets nothing of the user's environment
 * but PATH, so that no real API key, proxy or setting of theirs reaches it.
 */
import { Child } from "../contestants/child.ts";
import { killGroup } from "./tool.ts";

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

export class RunningProgram {
  readonly #child: Child;

  /** Each program of the chain becomes the next, so that the child's process id is that of the peer. */
  constructor(directory: string, { command, args, environment }: Program) {
    const own = { PATH: process.env["PATH"] ?? "", HOME: directory, LANG: "C.UTF-8", ...environment };
    const assignments = Object.entries(own).map(([name, value]) => `${name}=${value}`);
    this.#child = new Child("env", ["-C", directory, "-i", ...assignments, "setsid", command, ...args]);
  }

  get pid(): number {
    return this.#child.pid;
  }

  until(probe: () => Promise<boolean>, deadlineMs: number): Promise<void> {
    return this.#child.until(probe, deadlineMs);
  }

  /** Also what it leaves behind in its group. */
  async end(): Promise<void> {
    await this.#child.end("SIGTERM");
    killGroup(this.pid);
  }
}
