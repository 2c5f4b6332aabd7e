/**
 * Sluice in front of the mock providers, with everything on: keys, the scan, routing, metering, records into SQLite.
 * Every load is checked: as many records as wrk saw answers, and those that were in flight when it stopped.
 */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Child } from "./child.ts";
import { freePort } from "./free-port.ts";
import type { Mocks } from "./mock.ts";
import { type Contestant, SCENARIOS, type Scenario } from "./scenario.ts";

const PROGRAM = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const READY_DEADLINE_MS = 20_000;
const SETTLE_DEADLINE_MS = 30_000;
const SETTLE_POLL_MS = 300;

interface Ports {
  readonly proxy: number;
  readonly admin: number;
}

interface Setting {
  readonly directory: string;
  readonly workers: number;
  readonly key: string;
  /** Of Node, for all processes; empty: none. */
  readonly nodeOptions: string;
}

function configuration({ directory, workers, key }: Setting, ports: Ports, mocks: Mocks): string {
  const named = SCENARIOS.map((scenario) => ({ scenario, provider: `mock-${scenario.latencyMs}ms` }));
  const providers = named.map(({ scenario, provider }) => [
    provider,
    { base_url: `http://127.0.0.1:${mocks.port(scenario)}/v1`, credential: { env: "MOCK_KEY" } },
  ]);
  const models = SCENARIOS.map((scenario) => scenario.model);
  const hash = `sha256:${createHash("sha256").update(key).digest("hex")}`;
  // JSON is YAML.
  return JSON.stringify({
    listen: `127.0.0.1:${ports.proxy}`,
    admin: { listen: `127.0.0.1:${ports.admin}` },
    workers,
    data_dir: join(directory, "data"),
    providers: Object.fromEntries(providers),
    models: Object.fromEntries(named.map(({ scenario, provider }) => [scenario.model, { provider }])),
    prices: Object.fromEntries(models.map((model) => [model, { input: 2.5, output: 10 }])),
    keys: [{ name: "bench", hash, models }],
  });
}

export class Gateway implements Contestant {
  readonly name = "Sluice";
  private ports: Ports = { proxy: 0, admin: 0 };
  private child: Child | null = null;
  private recordsBefore = 0;

  async start(setting: Setting, mocks: Mocks): Promise<void> {
    this.ports = { proxy: await freePort(), admin: await freePort() };
    const file = join(setting.directory, "sluice.yaml");
    writeFileSync(file, configuration(setting, this.ports, mocks));
    const options = setting.nodeOptions === "" ? {} : { NODE_OPTIONS: setting.nodeOptions };
    const args = ["--disable-warning=ExperimentalWarning", PROGRAM, "serve", "-c", file];
    const child = new Child(process.execPath, args, { MOCK_KEY: "sk-mock", ...options });
    this.child = child;
    await child.until(() => this.isReady(), READY_DEADLINE_MS);
  }

  pids(): number[] {
    return this.child === null ? [] : [this.child.pid];
  }

  url(): string {
    return `http://127.0.0.1:${this.ports.proxy}/v1/chat/completions`;
  }

  async begin(): Promise<void> {
    this.recordsBefore = await this.metric("sluice_records_stored_total");
  }

  /** Waits until every answered request has its record in the store, so that its CPU time is spent. */
  async settle(requests: number, scenario: Scenario): Promise<void> {
    const end = performance.now() + SETTLE_DEADLINE_MS;
    let stored = -1;
    for (let now = 0; now < requests || now !== stored; ) {
      if (performance.now() > end) throw new Error(`${requests} answers, but ${now} records`);
      stored = now;
      await delay(SETTLE_POLL_MS);
      now = (await this.metric("sluice_records_stored_total")) - this.recordsBefore;
    }
    const dropped = await this.metric("sluice_records_dropped_total");
    if (stored > requests + scenario.connections || dropped > 0) {
      throw new Error(`${requests} answers, but ${stored} records, and ${dropped} dropped`);
    }
  }

  async stop(): Promise<void> {
    await this.child?.end("SIGTERM");
  }

  private async isReady(): Promise<boolean> {
    const response = await fetch(`http://127.0.0.1:${this.ports.admin}/health/ready`).catch(() => null);
    await response?.arrayBuffer();
    return response?.status === 200;
  }

  /** Sum over the samples of this name. */
  private async metric(name: string): Promise<number> {
    const page = await (await fetch(`http://127.0.0.1:${this.ports.admin}/metrics`)).text();
    const samples = page.split("\n").filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
    return samples.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  }
}
