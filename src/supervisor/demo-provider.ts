/**
 * The demo provider's process: started when the first configuration needs it, and kept until the end, because requests to
 * it may outlive the configuration. That of an earlier generation is kept as long as its workers. Supervisor main thread.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { CodedError } from "../base/errors.ts";
import type { Config, ProviderConfig } from "../config/schema.ts";
import { native } from "../native/native.ts";
import type { LeftProcess } from "./handover.ts";
import { channelOf, runtimeEnv } from "./worker-process.ts";

const DEMO_FILE = fileURLToPath(new URL("../demo/process.ts", import.meta.url));
const REAP_MS = 200;

interface Demo {
  readonly child: ChildProcess;
  readonly url: string;
}

export class DemoProvider {
  #demo: Demo | null = null;
  #former: readonly LeftProcess[];

  constructor(former: readonly LeftProcess[] = []) {
    this.#former = former;
  }

  /** The configuration with the demo providers' base URL filled in. */
  async fillIn(config: Config): Promise<Config> {
    const entries = Object.entries(config.providers);
    if (!entries.some(([, provider]) => provider.type === "demo")) return config;
    this.#demo ??= await start();
    const { url } = this.#demo;
    const filled = (provider: ProviderConfig) => (provider.type === "demo" ? { ...provider, baseUrl: url } : provider);
    return { ...config, providers: Object.fromEntries(entries.map(([name, provider]) => [name, filled(provider)])) };
  }

  /** For the next program. */
  get left(): LeftProcess[] {
    const channel = this.#demo === null ? null : channelOf(this.#demo.child);
    const own = this.#demo === null || channel === null ? [] : [{ pid: this.#demo.child.pid ?? 0, channel }];
    return [...this.#former, ...own];
  }

  /** The workers of earlier generations are gone. */
  releaseFormer(): void {
    let waiting = this.#former.map(({ pid }) => pid);
    for (const { channel } of this.#former) closeSync(channel);
    this.#former = [];
    if (waiting.length === 0) return;
    const timer = setInterval(() => {
      waiting = waiting.filter((pid) => !native.reapChild(pid));
      if (waiting.length === 0) clearInterval(timer);
    }, REAP_MS);
    timer.unref();
  }

  close(): void {
    for (const { pid } of this.#former) process.kill(pid, "SIGKILL");
    this.#demo?.child.kill("SIGKILL");
  }
}

async function start(): Promise<Demo> {
  const child = fork(DEMO_FILE, [], {
    execArgv: ["--disable-warning=ExperimentalWarning"],
    env: runtimeEnv(process.env),
    stdio: ["ignore", 2, 2, "ipc"],
  });
  const told = once(child, "message").then(([url]: unknown[]) => String(url));
  const ended = once(child, "exit").then(([code, signal]: unknown[]) => {
    throw new CodedError("demo_failed", `The demo provider does not come up: it ended with ${signal ?? code}.`);
  });
  ended.catch(() => undefined);
  const url = await Promise.race([told, ended]);
  return { child, url };
}
