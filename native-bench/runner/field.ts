/**
 * The contestants of a run: had, started on their CPUs, ended. All run during the whole run, and only one is loaded at a time. What
 * must hold: one that cannot be had or started is named with the reason, and Sluice and the mock are never among those.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Contestant, SecureMock } from "../contestant.ts";
import { Direct } from "../contestants/direct.ts";
import { LIMITS_RACE, SLUICE, Sluice } from "../contestants/sluice.ts";
import { cacheDirectory } from "../peers/cache.ts";
import { peersNamed } from "../peers/peers.ts";
import type { Mock } from "./mock.ts";
import type { Options } from "./options.ts";
import { onCpus } from "./pinning.ts";
import { pssBytes } from "./processes.ts";
import { sluiceRuntime } from "./sluice-runtime.ts";
import { NGINX } from "./summary.ts";

export interface FieldSite {
  readonly directory: string;
  readonly mock: Mock;
  readonly secureMock: SecureMock | undefined;
  /** Of the contestants; null: any. */
  readonly cpus: string | null;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

export class Field {
  /** In the order of their turns. */
  readonly contestants: Contestant[] = [];
  /** By name: why it does not take part. */
  readonly missing: Record<string, string> = {};
  readonly #site: FieldSite;

  constructor(site: FieldSite) {
    this.#site = site;
  }

  async start(options: Options): Promise<void> {
    this.contestants.push(new Direct(this.#site.mock));
    const names = [NGINX, ...options.peers].filter((name) => !options.without.includes(name));
    for (const { name, make } of peersNamed(names.join(","))) {
      this.#site.signal.throwIfAborted();
      await this.#try(name, () => make(cacheDirectory(), this.#site.signal), options.workers);
    }
    const own = options.without.includes(SLUICE) ? [] : [SLUICE, ...(options.limits ? LIMITS_RACE.rest : [])];
    for (const name of own) await this.#add(new Sluice(sluiceRuntime(options), name), options.workers);
  }

  async #try(name: string, make: () => Promise<Contestant>, workers: number): Promise<void> {
    try {
      await this.#add(await make(), workers);
    } catch (error) {
      this.missing[name] = error instanceof Error ? error.message : String(error);
      this.#site.say(`without ${name}: ${this.missing[name]}`);
    }
  }

  async #add(contestant: Contestant, workers: number): Promise<void> {
    this.#site.say(`starting ${contestant.name}`);
    const directory = join(this.#site.directory, contestant.name);
    mkdirSync(directory);
    const { mock, secureMock, cpus } = this.#site;
    try {
      await onCpus(cpus, () => contestant.start({ directory, mockPort: mock.port, secureMock, workers }));
    } catch (error) {
      await contestant.stop();
      throw error;
    }
    this.contestants.push(contestant);
  }

  /** Proportional set sizes, by name. */
  pssBytes(): Record<string, number> {
    return Object.fromEntries(this.contestants.map((each) => [each.name, pssBytes(each.pids())]));
  }

  versions(): Record<string, string> {
    return Object.assign({}, ...this.contestants.map((each) => each.versions()));
  }

  async stop(): Promise<void> {
    await Promise.allSettled(this.contestants.map((each) => each.stop()));
  }
}
