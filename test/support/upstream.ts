/** A test's handle on the mock provider program (mock-upstream.ts). */
import { strictEqual } from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { Audited, Journal, Seen } from "./mock/journal.ts";
import { Program } from "./program.ts";
import { until } from "./until.ts";

interface Ports {
  readonly port: number;
  readonly tlsPort: number;
  readonly silentPort: number;
  readonly refusingPort: number;
  readonly controlPort: number;
}

const program = "test/support/mock-upstream.ts";
/** PEM of the CA that signed the mock's certificate. */
export const TEST_CA_FILE = new URL("../fixtures/tls/test-only-ca.pem", import.meta.url).pathname;
export const TEST_CA = readFileSync(TEST_CA_FILE, "utf8");

export class Upstream {
  readonly ports: Ports;
  private readonly process: Program;

  private constructor(process: Program, ports: Ports) {
    this.process = process;
    this.ports = ports;
  }

  static async start(): Promise<Upstream> {
    const process = new Program([program]);
    const ports: Ports = JSON.parse(await process.firstLine());
    return new Upstream(process, ports);
  }

  /** What a provider's base_url is set to. */
  get url(): string {
    return `http://127.0.0.1:${this.ports.port}/v1`;
  }

  get tlsUrl(): string {
    return `https://127.0.0.1:${this.ports.tlsPort}/v1`;
  }

  /** Accepts connections and says nothing. */
  get silentUrl(): string {
    return `https://127.0.0.1:${this.ports.silentPort}/v1`;
  }

  /** https to a server that only speaks plain HTTP. */
  get notTlsUrl(): string {
    return `https://127.0.0.1:${this.ports.refusingPort}/v1`;
  }

  /** Everything seen since the last reset. */
  async journal(): Promise<Journal> {
    return this.control("seen");
  }

  /** Every request with an `x-audit-id` since the last reset, by it. */
  async audit(): Promise<Readonly<Record<string, Audited>>> {
    const response = await fetch(`http://127.0.0.1:${this.ports.controlPort}/audit`);
    return (await response.json()) as Readonly<Record<string, Audited>>;
  }

  async reset(): Promise<void> {
    await this.control("reset");
  }

  /** Lets the answers go on that wait for this gate (`x-mock: hold=NAME`). */
  async open(gate: string): Promise<void> {
    await this.control(`open?gate=${gate}`);
  }

  /** The newest request, once there is one. */
  async lastRequest(): Promise<Seen> {
    return until("the upstream saw a request", async () => (await this.journal()).requests.at(-1));
  }

  /** Waits until `holds` is true of the journal. */
  async waitFor(what: string, holds: (journal: Journal) => boolean): Promise<Journal> {
    return until(what, async () => {
      const journal = await this.journal();
      return holds(journal) ? journal : undefined;
    });
  }

  /** Waits until the gateway gave up `count` requests. */
  async waitForAborts(count: number): Promise<Journal> {
    return this.waitFor(`the upstream saw ${count} aborts`, (journal) => journal.abortedTotal >= count);
  }

  async stop(): Promise<void> {
    this.process.closeInput();
    strictEqual(await this.process.end(), 0, this.process.stderr());
  }

  private async control(path: string): Promise<Journal> {
    const response = await fetch(`http://127.0.0.1:${this.ports.controlPort}/${path}`);
    const journal: unknown = await response.json();
    return journal as Journal;
  }
}

/** The exact body that the upstream got, as text. */
export function bodyText(seen: Seen): string {
  return Buffer.from(seen.body, "base64").toString();
}

/** All values of a header that the upstream got. */
export function headerValues(seen: Seen, name: string): string[] {
  return seen.headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
}
