/**
 * A watch inside gateway workers: a module that is loaded before them, begins at a SIGUSR2, and at the next one ends and writes what it
 * has seen to PID.json. Runner process only.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import type { Processes } from "./graphs.ts";
import type { Watch } from "./subject.ts";

const POLL_MS = 50;
const DEADLINE_MS = 10_000;

export class InsideWatch implements Watch {
  readonly flags: readonly string[];
  readonly #directory: string;
  #workers: readonly number[] = [];

  /** `module` finds `directory` among its search parameters. */
  constructor(module: URL, directory: string) {
    this.#directory = directory;
    this.flags = [`--import=${module.href}?directory=${encodeURIComponent(directory)}`];
  }

  begin({ workers }: Processes): void {
    this.#workers = workers;
    this.#tell();
  }

  async end(): Promise<void> {
    this.#tell();
    const until = performance.now() + DEADLINE_MS;
    while (!this.#workers.every((pid) => existsSync(this.#fileOf(pid)))) {
      if (performance.now() > until) throw new Error("the worker did not say what it has seen");
      await delay(POLL_MS);
    }
  }

  #tell(): void {
    for (const pid of this.#workers) process.kill(pid, "SIGUSR2");
  }

  /** Of every worker. */
  read<Seen>(): Seen[] {
    return this.#workers.map((pid): Seen => JSON.parse(readFileSync(this.#fileOf(pid), "utf8")));
  }

  #fileOf(pid: number): string {
    return join(this.#directory, `${pid}.json`);
  }
}
