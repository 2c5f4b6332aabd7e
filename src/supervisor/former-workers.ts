/**
 * The workers of earlier generations: processes that this one had as children before it became this program. Supervisor
 * main thread. They serve until they are retired, and then finish what runs. Node knows nothing of them, so their ends
 * are looked for; what must stay true: each is reaped, and none is left when the supervisor ends.
 */
import { closeSync } from "node:fs";
import process from "node:process";
import { nowMs } from "../base/clock.ts";
import { DRAIN_GRACE_MS } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { native } from "../native/native.ts";
import type { FinishingWorker, Handover, LeftWorker } from "./handover.ts";

/** How often their ends are looked for, milliseconds. */
const LOOK_MS = 100;

interface Alive extends Omit<LeftWorker, "channel"> {
  /** By the monotonic clock. */
  killAtMs: number;
}

export interface FormerWorkersOptions {
  readonly handover: Handover | null;
  readonly log: Log;
  /** The worker `pid`, which held this slot, is dead. */
  readonly onSlotFree: (slot: number, pid: number) => void;
  /** After the last of them. */
  readonly onGone: () => void;
}

export class FormerWorkers {
  readonly #options: FormerWorkersOptions;
  /** Those that serve. */
  #serving: LeftWorker[];
  #alive: Alive[];
  readonly #drainMs: number;
  #timer: NodeJS.Timeout | null = null;
  readonly #gone = Promise.withResolvers<void>();

  constructor(options: FormerWorkersOptions) {
    const { handover } = options;
    this.#options = options;
    this.#serving = [...(handover?.workers ?? [])];
    this.#drainMs = (handover?.drainMs ?? 0) + DRAIN_GRACE_MS;
    this.#alive = [
      ...this.#serving.map(({ pid, slot }) => ({ pid, slot, killAtMs: Infinity })),
      ...(handover?.finishing ?? []).map(({ pid, slot, killInMs = this.#drainMs }) => ({
        pid,
        slot,
        killAtMs: nowMs() + killInMs,
      })),
    ];
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    // An attempt before this one may have reaped some of them.
    this.#look();
  }

  /** How many there are. */
  get count(): number {
    return this.#alive.length;
  }

  /** Those that take new connections. */
  get serving(): readonly LeftWorker[] {
    return this.#serving;
  }

  /** Resolves when none is alive. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Those that do not serve any more, for the next program. */
  get left(): readonly FinishingWorker[] {
    const finishing = this.#alive.filter(({ pid }) => !this.#serving.some((worker) => worker.pid === pid));
    return finishing.map(({ pid, slot, killAtMs }) => {
      const killInMs = Math.max(Math.round(killAtMs - nowMs()), 0);
      // Killed already, and not dead yet: after another wait.
      return Number.isFinite(killInMs) ? { pid, slot, killInMs } : { pid, slot };
    });
  }

  /** Has them stop listening and finish what runs: others serve now. */
  retire(): void {
    const retired = this.#serving;
    this.#serving = [];
    for (const { channel } of retired) closeSync(channel);
    for (const worker of this.#alive) worker.killAtMs = Math.min(worker.killAtMs, nowMs() + this.#drainMs);
    if (retired.length > 0)
      this.#options.log.info({ workers: retired.map(({ pid }) => pid) }, "workers of the earlier generation finish");
  }

  /** Nobody waits for idle connections of theirs. After retire(). */
  hurry(): void {
    for (const { pid } of this.#alive) process.kill(pid, "SIGTERM");
  }

  /** Ends them without waiting. */
  kill(): void {
    for (const { pid } of this.#alive) process.kill(pid, "SIGKILL");
  }

  #look(): void {
    const ended = this.#alive.filter(({ pid }) => native.reapChild(pid));
    if (ended.length > 0) this.#onEnded(ended);
    if (this.#alive.length === 0) this.#end();
    else this.#killLate(this.#alive.filter(({ killAtMs }) => nowMs() >= killAtMs));
  }

  #onEnded(ended: readonly Alive[]): void {
    this.#alive = this.#alive.filter((worker) => !ended.includes(worker));
    for (const { pid, slot } of ended) {
      this.#closeOf(pid);
      this.#options.onSlotFree(slot, pid);
      this.#options.log.info({ worker_pid: pid, slot }, "worker of an earlier generation ended");
    }
  }

  #closeOf(pid: number): void {
    const worker = this.#serving.find((one) => one.pid === pid);
    if (worker !== undefined) closeSync(worker.channel);
    this.#serving = this.#serving.filter((one) => one !== worker);
  }

  #killLate(late: readonly Alive[]): void {
    for (const worker of late) {
      worker.killAtMs = Infinity;
      this.#options.log.error(
        { worker_pid: worker.pid },
        "worker of an earlier generation did not end in time; killing it",
      );
      process.kill(worker.pid, "SIGKILL");
    }
  }

  #end(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#options.onGone();
    this.#gone.resolve();
  }
}
