/** The mock provider: one process at a time, always on the same ports, replaced when a scenario wants another behaviour. */
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { SecureMock } from "../contestant.ts";
import { Child } from "../contestants/child.ts";
import { freePort } from "../contestants/free-port.ts";
import { pinnedCommand } from "./pinning.ts";
import type { MockSetting, ScenarioFile } from "./scenario.ts";

const PROGRAM = fileURLToPath(new URL("../native/build/mock", import.meta.url));
const IN_NODE = fileURLToPath(new URL("../mock-in-node.ts", import.meta.url));
const fixture = (name: string) => fileURLToPath(new URL(`../../test/fixtures/tls/test-only-${name}`, import.meta.url));
/** A run can be repeated: jitter falls alike. */
const SEED = 1;

export class Mock {
  readonly #cpus: string | null;
  #child: Child | null = null;
  #port = 0;
  #secure: SecureMock | undefined;

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

  /** Where it is with TLS, in the scenarios that want it; undefined: none of these does. */
  async reserve(scenarios: readonly ScenarioFile[]): Promise<SecureMock | undefined> {
    const isWanted = scenarios.some(({ upstream }) => upstream === "https");
    this.#secure = isWanted ? { port: await freePort(), caFile: fixture("ca.pem") } : undefined;
    return this.#secure;
  }

  async restart({ mock, upstream }: Pick<ScenarioFile, "mock" | "upstream">): Promise<void> {
    await this.stop();
    const args = argumentsOf(mock, this.#port);
    const command = upstream === "https" ? this.#withTls(args) : ([PROGRAM, args] as const);
    this.#child = new Child(...pinnedCommand(this.#cpus, ...command));
    const listening: { port: number } = JSON.parse(await this.#child.firstLine());
    this.#port = listening.port;
  }

  #withTls(args: readonly string[]): [command: string, args: string[]] {
    if (this.#secure === undefined) throw new Error("no port was reserved for TLS");
    const tls = ["--tls-port", String(this.#secure.port)];
    const files = ["--cert-file", fixture("server.pem"), "--key-file", fixture("server.key.pem")];
    return [process.execPath, ["--disable-warning=ExperimentalWarning", IN_NODE, ...args, ...tls, ...files]];
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
