/**
 * Sluice, as `npm start` runs it, in front of the mock provider, with everything on: keys, the scan, routing, metering, prices, records into SQLite.
 * Every load is checked: exactly one record for each request that was answered, failed or cancelled.
 */
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { isErased } from "../../scripts/erase.mjs";
import { LIB_DIR, PROGRAM_FLAGS } from "../../scripts/runtime.mjs";
import { setup } from "../../scripts/setup.mjs";
import type { Contestant, Endpoint, Setting } from "../contestant.ts";
import { commit } from "../runner/machine.ts";
import { Child } from "./child.ts";
import { freePort } from "./free-port.ts";

export const SLUICE = "sluice";
/** The same with ten limits, none of which is ever reached. */
const LIMITED = ["sluice-limited", "sluice-limited-2"] as const;
/**
 * What limits cost is a few per cent, and so is what it costs to be started second: so there are two of both, in an order in which that
 * hits both alike. The first one is Sluice itself.
 */
export const LIMITS_RACE = { plain: [SLUICE, "sluice-2"], limited: LIMITED, rest: [...LIMITED, "sluice-2"] } as const;
const PROGRAM = join(LIB_DIR, "main.js");
const PACKAGE = fileURLToPath(new URL("../../package.json", import.meta.url));
const MODEL = "gpt-4o";
/** At the same provider, over TLS. */
const SECURE_MODEL = "gpt-4o-tls";
const READY_DEADLINE_MS = 20_000;
const SETTLE_DEADLINE_MS = 30_000;
const SETTLE_POLL_MS = 100;

const PLENTY = 1_000_000_000;
/** Of all kinds, and of all that a request can be counted by without being read for it. */
const TEN_LIMITS = [
  { scope: ["key"], requests: `${PLENTY}/min`, tokens: `${PLENTY}/min`, concurrency: PLENTY },
  { scope: ["key", "model"], requests: `${PLENTY}/s`, output_tokens: `${PLENTY}/min` },
  { scope: ["model"], requests: `${PLENTY}/day`, algorithm: "fixed_window" },
  { scope: ["target"], requests: `${PLENTY}/min`, tokens: `${PLENTY}/min` },
  { scope: ["provider"], bytes_in_flight: PLENTY },
  { requests: `${PLENTY}/s` },
];

/** What runs it: for profilers and burdens. */
export interface Runtime {
  readonly command: string;
  readonly env: Readonly<Record<string, string>>;
}

interface Ports {
  readonly proxy: number;
  readonly admin: number;
}

interface Tally {
  readonly stored: number;
  readonly dropped: number;
}

function configuration(setting: Setting, ports: Ports, key: string, isLimited: boolean, more: object): string {
  const providers = providersOf(setting);
  const models = Object.keys(providers);
  const hash = `sha256:${createHash("sha256").update(key).digest("hex")}`;
  // JSON is YAML.
  return JSON.stringify({
    listen: `127.0.0.1:${ports.proxy}`,
    admin: { listen: `127.0.0.1:${ports.admin}` },
    workers: setting.workers,
    data_dir: join(setting.directory, "data"),
    providers,
    models: Object.fromEntries(models.map((name) => [name, { provider: name }])),
    prices: Object.fromEntries(models.map((name) => [name, { input: 2.5, output: 10 }])),
    keys: [{ name: "bench", hash, models }],
    rate_limits: isLimited ? TEN_LIMITS : [],
    ...more,
  });
}

/** Each has the name of its only model. */
function providersOf({ mockPort, secureMock }: Setting): Record<string, object> {
  const credential = { env: "MOCK_KEY" };
  const plain = { [MODEL]: { base_url: `http://127.0.0.1:${mockPort}/v1`, credential } };
  if (secureMock === undefined) return plain;
  const { port, caFile } = secureMock;
  return {
    ...plain,
    [SECURE_MODEL]: { base_url: `https://127.0.0.1:${port}/v1`, credential, tls: { ca_file: caFile } },
  };
}

export class Sluice implements Contestant {
  readonly name: string;
  readonly #runtime: Runtime;
  readonly #more: object;
  readonly #key = `sk-sluice-${randomBytes(24).toString("base64url")}`;
  #ports: Ports = { proxy: 0, admin: 0 };
  #hasSecureMock = false;
  #child: Child | null = null;
  #before: Tally = { stored: 0, dropped: 0 };

  /** `more`: settings besides the usual ones. */
  constructor(runtime: Runtime = { command: process.execPath, env: {} }, name = SLUICE, more: object = {}) {
    this.#runtime = runtime;
    this.#more = more;
    this.name = name;
  }

  async start(setting: Setting): Promise<void> {
    if (!isErased()) setup();
    this.#ports = { proxy: await freePort(), admin: await freePort() };
    this.#hasSecureMock = setting.secureMock !== undefined;
    const file = join(setting.directory, "sluice.yaml");
    writeFileSync(
      file,
      configuration(
        setting,
        this.#ports,
        this.#key,
        LIMITED.some((name) => name === this.name),
        this.#more,
      ),
    );
    const { command, env } = this.#runtime;
    const args = [...PROGRAM_FLAGS, PROGRAM, "serve", "-c", file];
    this.#child = new Child(command, args, { MOCK_KEY: "sk-mock", ...env });
    await this.#child.until(() => this.#isReady(), READY_DEADLINE_MS);
  }

  pids(): number[] {
    return this.#child === null ? [] : [this.#child.pid];
  }

  get endpoint(): Endpoint {
    const headers = [["authorization", `Bearer ${this.#key}`]] as const;
    return { port: this.#ports.proxy, path: "/v1/chat/completions", headers, model: MODEL };
  }

  get secureEndpoint(): Endpoint | null {
    return this.#hasSecureMock ? { ...this.endpoint, model: SECURE_MODEL } : null;
  }

  versions(): Record<string, string> {
    const { version }: { version: string } = JSON.parse(readFileSync(PACKAGE, "utf8"));
    return { sluice: `${version} (${commit()})` };
  }

  async begin(): Promise<void> {
    this.#before = await this.#tally();
  }

  /** Asking costs CPU time of the supervisor, so that it is asked late and seldom. */
  async settle(requests: number): Promise<boolean> {
    const end = performance.now() + SETTLE_DEADLINE_MS;
    let last = await this.#stored();
    const isLate = last < requests;
    await delay(SETTLE_POLL_MS);
    let stored = await this.#stored();
    // Until they are all there, and no more come.
    while (stored < requests || stored !== last) {
      if (performance.now() > end) throw new Error(`${requests} requests, but ${stored} records`);
      await delay(SETTLE_POLL_MS);
      last = stored;
      stored = await this.#stored();
    }
    const dropped = (await this.#tally()).dropped - this.#before.dropped;
    if (stored !== requests || dropped > 0)
      throw new Error(`${requests} requests, but ${stored} records, ${dropped} dropped`);
    return isLate;
  }

  async stop(): Promise<void> {
    await this.#child?.end("SIGTERM");
  }

  async #isReady(): Promise<boolean> {
    const response = await fetch(`http://127.0.0.1:${this.#ports.admin}/health/ready`).catch(() => null);
    await response?.arrayBuffer();
    return response?.status === 200;
  }

  async #stored(): Promise<number> {
    return (await this.#tally()).stored - this.#before.stored;
  }

  async #tally(): Promise<Tally> {
    const page = await (await fetch(`http://127.0.0.1:${this.#ports.admin}/metrics`)).text();
    return { stored: sum(page, "sluice_records_stored_total"), dropped: sum(page, "sluice_records_dropped_total") };
  }
}

/** Over the samples of this name. */
function sum(page: string, name: string): number {
  const samples = page.split("\n").filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
  return samples.reduce((total, line) => total + Number(line.split(" ").at(-1)), 0);
}
