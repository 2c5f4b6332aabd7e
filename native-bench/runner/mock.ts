/** The mock provider: one process at a time, always on the same port, replaced when a scenario wants another behaviour. */
import { fileURLToPath } from "node:url";
import { Child } from "../contestants/child.ts";
import { pinnedCommand } from "./pinning.ts";
import type { MockSetting } from "./scenario.ts";

const PROGRAM = fileURLToPath(new URL("../native/build/mock", import.meta.url));
/** A run can be repeated: jitter falls alike. */
const SEED = 1;

export class Mock {
  readonly #cpus: string | null;
  #child: Child | null = null;
  #port = 0;

  /** `cpus`: as taskset takes them; null: any. */
  constructor(cpus: string | null) {
    this.#cpus = cpus;
  }

  /** Of the process that runs now and of all after it; 0 before the first. */
  get port(): number {
    return this.#port;
  }

  pids(): number[] {
    return this.#child === null ? [] : [this.#child.pid];
  }

  async restart(setting: MockSetting): Promise<void> {
    await this.stop();
    this.#child = new Child(...pinnedCommand(this.#cpus, PROGRAM, argumentsOf(setting, this.#port)));
    const listening: { port: number } = JSON.parse(await this.#child.firstLine());
    this.#port = listening.port;
  }

  async stop(): Promise<void> {
    await this.#child?.end("SIGTERM");
    this.#child = null;
  }
}

function argumentsOf(setting: MockSetting, port: number): string[] {
  const figures = {
    port,
    "latency-ms": setting.latencyMs,
    "jitter-ms": setting.jitterMs,
    chunks: setting.chunks,
    "chunk-delay-ms": setting.chunkDelayMs,
    "chunk-bytes": setting.chunkBytes,
    "answer-bytes": setting.answerBytes,
    seed: SEED,
  };
  const given = Object.entries(figures).filter(([, value]) => value !== undefined);
  return [...given.flatMap(([name, value]) => [`--${name}`, String(value)]), "--usage", "on"];
}
