/**
 * Restart: the program as it is installed now, with the configuration as it is now, in the place of the one that runs, and
 * no request notices. Supervisor main thread. What must stay true: nothing is given up before a trial showed that the next
 * program works; one restart runs at a time.
 *
 * The next program runs in this same process (execve): whoever started us, systemd, a container or a terminal, sees the same
 * process id, and workers stay its children. Workers go on serving; their channels stay open, and the next program closes
 * them when its own workers serve, which tells the old ones to finish. If it does not start, it is tried again as long as they
 * live (guard.ts).
 */
import { setImmediate as turn } from "node:timers/promises";
import { CodedError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Config } from "../config/schema.ts";
import { native } from "../native/native.ts";
import { Guard } from "./guard.ts";
import { type Handover, handoverVariable, keep } from "./handover.ts";
import { commandLine, environmentWith, runTrial } from "./trial.ts";

export interface RestarterOptions {
  /** In force. */
  readonly config: () => Config;
  readonly log: Log;
  /** Why there can be no other program in our place now; null: there can. */
  readonly obstacle: () => string | null;
  /** Closes what must not be cut, and says what is left to the next program. */
  readonly prepare: () => Promise<Handover>;
  /** Opens it again. */
  readonly resume: () => void;
}

export class Restarter {
  readonly #options: RestarterOptions;
  readonly #guard = new Guard();
  readonly #given = new AbortController();
  #over: PromiseWithResolvers<void> | null = null;
  /** Why the last one failed after its trial. */
  error: string | null = null;

  constructor(options: RestarterOptions) {
    this.#options = options;
  }

  get running(): boolean {
    return this.#over !== null;
  }

  /** Resolves when none runs; after one that works there is nobody to hear it. */
  get over(): Promise<void> {
    return this.#over?.promise ?? Promise.resolve();
  }

  /** Null: it works and takes over in a moment; else why it is refused. */
  async restart(): Promise<string | null> {
    if (this.running) return "Another restart is under way.";
    const obstacle = this.#options.obstacle();
    if (obstacle !== null) return obstacle;
    this.#over = Promise.withResolvers();
    this.error = null;
    this.#options.log.info("restart: trying the program as it is installed now");
    const fault = await runTrial(this.#options.config(), this.#given.signal).catch((error) => String(error));
    if (fault === null) {
      setImmediate(() => void this.#handOver());
      return null;
    }
    this.#end();
    this.#options.log.error(`restart refused, what runs stays:\n${fault}`);
    return fault;
  }

  /** We are told to stop: a trial that runs is for nothing. */
  giveUp(): void {
    this.#given.abort();
  }

  /** Comes back only if it fails. */
  async #handOver(): Promise<void> {
    const { log, resume } = this.#options;
    let descriptors: readonly number[] = [];
    try {
      this.#requireNoObstacle();
      const handover = await this.#options.prepare();
      const guarded = this.#guard.over(handover);
      descriptors = guarded.descriptors;
      log.info({ workers: handover.workers.map(({ pid }) => pid) }, "the next generation takes over");
      await this.#holdSignals();
      keep(descriptors, true);
      const { path, argv } = commandLine();
      native.replaceProcess(path, argv, environmentWith([handoverVariable(handover), ...guarded.variables]));
    } catch (error) {
      this.error = error instanceof CodedError ? error.message : String(error);
      log.error({ err: error }, "restart failed, what runs stays");
      keep(descriptors, false);
      native.releaseSignals();
      resume();
    }
    this.#end();
  }

  #end(): void {
    this.#over?.resolve();
    this.#over = null;
  }

  /** From here on they wait for the next program; those that came before are heard. */
  async #holdSignals(): Promise<void> {
    if (!native.holdSignals()) this.#options.log.warn("not all threads hold signals back");
    await turn();
    await turn();
    this.#requireNoObstacle();
  }

  #requireNoObstacle(): void {
    const obstacle = this.#options.obstacle();
    if (obstacle !== null) throw new CodedError("restart_given_up", obstacle);
  }
}
