/**
 * Reload: the configuration file, once more, while the gateway runs. Supervisor main thread. What must stay true: a file
 * with a mistake changes nothing; one reload runs at a time, and requests for one that come meanwhile become one more.
 */
import { CodedError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { compileSnapshot } from "../config/compile.ts";
import { loadConfigApart } from "../config/load-apart.ts";
import type { Config } from "../config/schema.ts";
import type { Configured } from "./worker-process.ts";

export interface ReloaderOptions {
  readonly configPath: string;
  readonly env: NodeJS.ProcessEnv;
  readonly log: Log;
  readonly current: Configured;
  /** Fills in what only the supervisor knows. */
  readonly complete: (config: Config) => Promise<Config>;
  /** Puts it in force; the process ids of workers that did not confirm. */
  readonly apply: (next: Configured) => Promise<readonly number[]>;
}

export class Reloader {
  readonly #options: ReloaderOptions;
  #current: Configured;
  #running: Promise<void> | null = null;
  /** Why the last one was refused; null: it was not. */
  #refusal: string | null = null;
  #again = false;

  constructor(options: ReloaderOptions) {
    this.#options = options;
    this.#current = options.current;
  }

  /** The configuration in force. */
  get config(): Config {
    return this.#current.config;
  }

  /** Of the configuration in force. */
  get epoch(): number {
    return this.#current.epoch;
  }

  /** Resolves when what is in the file now is in force (null) or refused, with the reason. Never rejects. */
  async reload(): Promise<string | null> {
    this.#again = this.#running !== null;
    this.#running ??= this.#run();
    await this.#running;
    return this.#refusal;
  }

  async #run(): Promise<void> {
    do {
      this.#again = false;
      await this.#once();
    } while (this.#again);
    this.#running = null;
  }

  async #once(): Promise<void> {
    const { log, configPath } = this.#options;
    try {
      const next = await this.#read();
      const late = await this.#options.apply(next);
      this.#current = next;
      this.#refusal = null;
      if (late.length > 0) log.error({ epoch: next.epoch, worker_pids: late }, "workers did not confirm the reload");
      log.info({ epoch: next.epoch }, "configuration reloaded");
    } catch (error) {
      const message = error instanceof CodedError ? error.message : `it cannot be used: ${String(error)}`;
      this.#refusal = message;
      log.error({ file: configPath }, `reload refused, the configuration in force stays:\n${message}`);
    }
  }

  async #read(): Promise<Configured> {
    const read = await loadConfigApart(this.#options.configPath, this.#options.env);
    const changed = fixedChanges(this.#current.config, read);
    if (changed.length > 0)
      this.#options.log.warn({ settings: changed }, "these settings change at the next start only");
    const config = await this.#options.complete(withFixed(this.#current.config, read));
    const epoch = this.#current.epoch + 1;
    compileSnapshot(config, epoch);
    return { epoch, config };
  }
}

/** The settings, by their names in the file, that differ and cannot change at run time. */
export function fixedChanges(current: Config, next: Config): string[] {
  const address = ({ host, port }: Config["admin"]) => `${host} ${port}`;
  const pairs: readonly [string, unknown, unknown][] = [
    ["listen", shapeOf(current.listen), shapeOf(next.listen)],
    ["admin.listen", address(current.admin), address(next.admin)],
    ["workers", current.workers, next.workers],
    ["data_dir", current.dataDir, next.dataDir],
  ];
  return pairs.filter(([, before, after]) => before !== after).map(([name]) => name);
}

/** What is fixed of the listeners: places, and what stands in front of them. Certificates and trusted proxies may change. */
function shapeOf(listeners: Config["listen"]): string {
  return JSON.stringify(listeners.map(({ place, tls, proxies }) => [place, tls !== null, proxies !== null]));
}

function withFixed({ listen, admin, workers, dataDir }: Config, next: Config): Config {
  const sameListeners = shapeOf(listen) === shapeOf(next.listen);
  return { ...next, listen: sameListeners ? next.listen : listen, admin, workers, dataDir };
}
