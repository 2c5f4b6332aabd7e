/**
 * Restart: the program as it is installed now, with the configuration as it is now, in the place of the one that runs, and
 * no request notices. Supervisor main thread. What must stay true: nothing is given up before a trial showed that the next
 * program works; one restart runs at a time.
 *
 * The next program runs in this same process (execve): whoever started us, systemd, a container or a terminal, sees the same
 * process id, and workers stay its children. Workers go on serving; their channels stay open, and the next program closes
 * them when its own workers serve, which tells the old ones to finish.
 */
import { CodedError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Config } from "../config/schema.ts";
import { native } from "../native/native.ts";
import { type Handover, leave, takeBack } from "./handover.ts";
import { commandLine, environmentWith, runTrial } from "./trial.ts";

export interface RestarterOptions {
  /** In force. */
  readonly config: () => Config;
  readonly log: Log;
  /** Closes what must not be cut, and says what is left to the next program. */
  readonly prepare: () => Promise<Handover>;
  /** Opens it again. */
  readonly resume: () => void;
}

export class Restarter {
  readonly #options: RestarterOptions;
  #running = false;
  /** Why the last one failed after its trial. */
  error: string | null = null;

  constructor(options: RestarterOptions) {
    this.#options = options;
  }

  get running(): boolean {
    return this.#running;
  }

  /** Null: it works and takes over in a moment; else why it is refused. */
  async restart(): Promise<string | null> {
    if (this.#running) return "Another restart is under way.";
    this.#running = true;
    this.error = null;
    this.#options.log.info("restart: trying the program as it is installed now");
    const fault = await runTrial(this.#options.config()).catch((error) => String(error));
    if (fault === null) {
      setImmediate(() => void this.#handOver());
      return null;
    }
    this.#running = false;
    this.#options.log.error(`restart refused, what runs stays:\n${fault}`);
    return fault;
  }

  /** Comes back only if it fails. */
  async #handOver(): Promise<void> {
    const { log, prepare, resume } = this.#options;
    let handover: Handover | null = null;
    try {
      handover = await prepare();
      const { path, argv } = commandLine();
      log.info({ workers: handover.workers.map(({ pid }) => pid) }, "the next generation takes over");
      native.replaceProcess(path, argv, environmentWith(leave(handover)));
    } catch (error) {
      this.error = error instanceof CodedError ? error.message : String(error);
      log.error({ err: error }, "restart failed, what runs stays");
      if (handover !== null) takeBack(handover);
      resume();
    }
    this.#running = false;
  }
}
