/**
 * Starts of the service that end early, one after the other: each waits longer than the one before it, as dead workers do
 * (backoff.ts). systemd 252 knows one delay for all restarts. Supervisor main thread. The count is in the directory that systemd
 * makes for the service, keeps while it restarts it and removes when somebody stops it; without one nothing waits.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openLog } from "../base/log.ts";
import { delayAfter, SOUND_AFTER_MS } from "./backoff.ts";

export class EarlyEnds {
  readonly #file: string | null;
  #timer: NodeJS.Timeout | undefined;

  constructor(env: NodeJS.ProcessEnv) {
    const [directory = ""] = (env["RUNTIME_DIRECTORY"] ?? "").split(":");
    this.#file = directory === "" ? null : join(directory, "early-ends");
  }

  /** Counts this start as one that ended early, until it is known to be none. Resolves when it may go on. */
  async begin(): Promise<void> {
    if (this.#file === null) return;
    const count = countIn(this.#file);
    write(this.#file, count + 1);
    const delayMs = delayAfter(count);
    if (delayMs === 0) return;
    openLog("supervisor", "warn").warn({ starts: count, delay_ms: delayMs }, "starts ended early in a row; waiting");
    await sleep(delayMs);
  }

  /** All workers serve: if they still do after a while, it was a sound start. */
  serves(): void {
    this.#timer = setTimeout(() => this.clear(), SOUND_AFTER_MS).unref();
  }

  /** The next start waits for nothing: this one was sound, or was told to end. */
  clear(): void {
    clearTimeout(this.#timer);
    if (this.#file !== null) rmSync(this.#file, { force: true });
  }
}

/** 0: there is no count. */
function countIn(file: string): number {
  try {
    return Number.parseInt(readFileSync(file, "utf8"), 10) || 0;
  } catch {
    return 0;
  }
}

/** A count that cannot be written keeps nobody from starting. */
function write(file: string, count: number): void {
  try {
    writeFileSync(file, `${count}\n`);
  } catch (error) {
    openLog("supervisor", "warn").warn({ err: error }, "starts are not counted");
  }
}
