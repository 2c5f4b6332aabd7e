/**
 * A peer as a contestant: its program is started with its configuration, and is up when a chat completion through it says what
 * the mock provider says, which proves as well that it is pointed at the mock. Runner process only.
 */

import type { Contestant, Endpoint, Setting } from "../contestant.ts";
import { freePort } from "../contestants/free-port.ts";
import { type Answer, ask, difference } from "../runner/probe.ts";
import { bodyOf } from "../runner/request-file.ts";
import type { Versions } from "./cache.ts";
import { type Program, RunningProgram } from "./program.ts";
import { Unavailable } from "./unavailable.ts";

export const CHAT_PATH = "/v1/chat/completions";
const PROBE_BYTES = 300;
const PROBE_DEADLINE_MS = 10_000;

export interface PeerKind {
  readonly name: string;
  readonly versions: Versions;
  /** The slowest start seen took a tenth of it. */
  readonly readyDeadlineMs: number;
  /** Its program, and where requests go; writes its configuration into the directory of the setting. */
  readonly prepare: (setting: Setting, port: number) => PreparedPeer;
}

export interface PreparedPeer {
  readonly program: Program;
  readonly endpoint: Endpoint;
}

export class Peer implements Contestant {
  readonly name: string;
  readonly #kind: PeerKind;
  #running: RunningProgram | null = null;
  #endpoint: Endpoint = { port: 0, path: CHAT_PATH, headers: [], model: "" };

  constructor(kind: PeerKind) {
    this.name = kind.name;
    this.#kind = kind;
  }

  async start(setting: Setting): Promise<void> {
    const { program, endpoint } = this.#kind.prepare(setting, await freePort());
    this.#endpoint = endpoint;
    this.#running = new RunningProgram(setting.directory, program);
    try {
      await this.#untilReady(this.#running, setting.mockPort);
    } catch (error) {
      await this.stop();
      throw new Unavailable(this.name, error instanceof Error ? error.message : String(error), error);
    }
  }

  async #untilReady(running: RunningProgram, mockPort: number): Promise<void> {
    const mock = { ...this.#endpoint, port: mockPort, path: CHAT_PATH };
    const whole = await probe(mock, false);
    let problem: string | null = "no answer";
    const isReady = async () => {
      // A program that ends after a wrong answer is one that gave a wrong answer.
      problem = await this.#difference(whole, false).catch(() => problem);
      return problem === null;
    };
    await running.until(isReady, this.#kind.readyDeadlineMs).catch((error: Error) => {
      throw new Error(`asked for a completion: ${problem}; ${error.message}`, { cause: error });
    });
    await this.#tryStream(await probe(mock, true));
  }

  async #tryStream(reference: Answer): Promise<void> {
    const problem = await this.#difference(reference, true).catch((error: Error) => error.message);
    if (problem !== null) process.stderr.write(`${this.name}: no streams: ${problem}\n`);
  }

  async #difference(reference: Answer, stream: boolean): Promise<string | null> {
    return difference(reference, await probe(this.#endpoint, stream));
  }

  pids(): number[] {
    return this.#running === null ? [] : [this.#running.pid];
  }

  get endpoint(): Endpoint {
    return this.#endpoint;
  }

  versions(): Record<string, string> {
    return { ...this.#kind.versions };
  }

  async stop(): Promise<void> {
    await this.#running?.end();
    this.#running = null;
  }
}

function probe(endpoint: Endpoint, stream: boolean): Promise<Answer> {
  const body = bodyOf(endpoint.model, { weight: 1, bodyBytes: PROBE_BYTES, stream });
  return ask(endpoint, body, AbortSignal.timeout(PROBE_DEADLINE_MS));
}
