/**
 * What the operator's signals mean. SIGHUP: reload. SIGUSR2: reopen the access log. SIGTERM, SIGINT: stop; once more: end
 * at once. Supervisor main thread.
 */
import { closeSync, openSync } from "node:fs";
import process from "node:process";
import { nowMs } from "../base/clock.ts";

/** Ctrl-C under npm reaches us twice, from the terminal and from npm; within this they are one, milliseconds. */
const SAME_MS = 250;

export interface SignalActions {
  readonly reload: () => void;
  readonly reopen: () => void;
  readonly stop: (signal: string) => void;
  readonly endNow: (signal: string) => void;
}

export class Signals {
  readonly #actions: SignalActions;
  readonly #clock: () => number;
  readonly #hadTerminal = hasTerminal();
  readonly #listeners: readonly [NodeJS.Signals, (signal: NodeJS.Signals) => void][];
  #stoppedAtMs: number | null = null;

  constructor(actions: SignalActions, clock: () => number = nowMs) {
    this.#actions = actions;
    this.#clock = clock;
    const stop = (signal: NodeJS.Signals) => this.#stop(signal);
    this.#listeners = [
      ["SIGTERM", stop],
      ["SIGINT", stop],
      ["SIGHUP", () => this.#hangUp()],
      ["SIGUSR2", actions.reopen],
    ];
    for (const [signal, listener] of this.#listeners) process.on(signal, listener);
  }

  close(): void {
    for (const [signal, listener] of this.#listeners) process.off(signal, listener);
  }

  #stop(signal: string): void {
    if (this.#stoppedAtMs === null) {
      this.#stoppedAtMs = this.#clock();
      this.#actions.stop(signal);
    } else if (this.#clock() - this.#stoppedAtMs > SAME_MS) {
      this.#actions.endNow(signal);
    }
  }

  /** The same signal says that the terminal we were started in was closed; then nobody can stop us any more. */
  #hangUp(): void {
    if (this.#hadTerminal && !hasTerminal()) this.#stop("SIGHUP");
    else this.#actions.reload();
  }
}

function hasTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}
