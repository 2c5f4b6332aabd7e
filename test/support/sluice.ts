/**
 * The real program under test: `sluice serve` in a temporary directory on free ports, with a generated configuration.
 * Stops what it started, and only that.
 */
import { strictEqual } from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../native-bench/contestants/free-port.ts";
import { type ConfigForm, CREDENTIAL, KEY, standardConfig } from "./config.ts";
import { childrenOf } from "./process-tree.ts";
import { Program, ROOT } from "./program.ts";
import { type Labels, parseMetrics, sumOf } from "./prometheus.ts";
import { until } from "./until.ts";
import type { Upstream } from "./upstream.ts";
import { type RecordRow, readRecords, recordsOf } from "./usage-db.ts";

/** A restart under load on a busy machine, milliseconds. */
const COMMAND_MS_MAX = 120_000;

type Environment = Readonly<Record<string, string>>;

interface Place {
  readonly directory: string;
  readonly port: number;
  readonly adminPort: number;
}

export class Sluice {
  readonly key = KEY;
  readonly port: number;
  readonly baseUrl: string;
  readonly adminUrl: string;
  readonly dataDir: string;
  readonly accessLog: string;
  readonly configFile: string;
  private readonly directory: string;
  private readonly adminPort: number;
  /** Of the tree that the program is in. */
  private readonly root: string;
  private readonly env: Environment;
  private program: Program | null = null;

  private constructor(place: Place, root: string, env: Environment) {
    this.root = root;
    this.env = env;
    this.directory = place.directory;
    this.port = place.port;
    this.adminPort = place.adminPort;
    this.baseUrl = `http://127.0.0.1:${place.port}/v1`;
    this.adminUrl = `http://127.0.0.1:${place.adminPort}`;
    this.dataDir = join(place.directory, "data");
    this.accessLog = join(place.directory, "access.ndjson");
    this.configFile = join(place.directory, "sluice.yaml");
  }

  /** Starts with the standard configuration and `changes` to it, and waits until it is ready. */
  static async start(
    upstream: Upstream,
    changes: Partial<ConfigForm> = {},
    root = ROOT,
    env: Environment = {},
  ): Promise<Sluice> {
    const directory = await mkdtemp(join(tmpdir(), "sluice-test-"));
    const sluice = new Sluice({ directory, port: await freePort(), adminPort: await freePort() }, root, env);
    await sluice.configure({ ...standardConfig(upstream), ...changes });
    await sluice.launch();
    return sluice;
  }

  /** Writes the configuration file; takes effect at the next reload or start. */
  async configure(form: ConfigForm): Promise<void> {
    const listen = `127.0.0.1:${this.port}`;
    const admin = { listen: `127.0.0.1:${this.adminPort}` };
    const files = { data_dir: this.dataDir, access_log: { path: this.accessLog } };
    await this.configureText(`${JSON.stringify({ listen, admin, ...files, ...form }, null, 1)}\n`);
  }

  async configureText(text: string): Promise<void> {
    await writeFile(this.configFile, text);
  }

  /** Starts the program (again) and waits until it is ready. */
  async launch(): Promise<void> {
    const env = { MOCK_KEY: CREDENTIAL, ...this.env };
    const program = new Program([join(this.root, "src/main.ts"), "serve", "-c", this.configFile], env, this.directory);
    this.program = program;
    await until("Sluice is ready", async () => {
      if (program.outcome !== null) throw new Error(`Sluice ended with ${program.outcome}: ${program.stderr()}`);
      return this.isReady();
    });
  }

  async isReady(): Promise<boolean> {
    return (await this.healthStatus("ready")) === 200;
  }

  /** Status of a health endpoint; 0: nobody answers. */
  async healthStatus(which: "live" | "ready"): Promise<number> {
    const response = await fetch(`${this.adminUrl}/health/${which}`).catch(() => null);
    await response?.arrayBuffer();
    return response?.status ?? 0;
  }

  get pid(): number {
    return this.running().pid;
  }

  /** What it logged since its last launch. */
  get log(): string {
    return this.running().stderr() + this.running().stdout();
  }

  workerPids(): number[] {
    return childrenOf(this.pid, "gateway/worker");
  }

  /** Runs a subcommand of `sluice` for it, with its configuration: what it printed, and its exit code. */
  async command(name: string, ...args: readonly string[]): Promise<{ code: number | string; text: string }> {
    const program = new Program([join(this.root, "src/main.ts"), name, "-c", this.configFile, ...args]);
    const code = await program.end(COMMAND_MS_MAX);
    return { code, text: program.stdout() + program.stderr() };
  }

  signal(name: NodeJS.Signals): void {
    this.running().signal(name);
  }

  /** Waits for its end; the exit code or the signal. */
  async end(): Promise<number | string> {
    return this.running().end();
  }

  /** Ends it as systemd does and removes its files. */
  async stop(): Promise<void> {
    this.signal("SIGTERM");
    strictEqual(await this.end(), 0, this.log);
    await this.remove();
  }

  /** kill -9 of everything it started; its files stay. */
  async kill(): Promise<void> {
    const victims = [this.pid, ...childrenOf(this.pid, "")];
    for (const pid of victims) process.kill(pid, "SIGKILL");
    await this.end();
  }

  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }

  /** All records, once there are at least `count`, oldest first. */
  async records(count: number): Promise<RecordRow[]> {
    return until(`${count} records are stored`, () => {
      const rows = readRecords(this.dataDir);
      return rows.length >= count ? rows : undefined;
    });
  }

  /** The one record of a request. */
  async recordOf(requestId: string): Promise<RecordRow> {
    return until(`the record of ${requestId} is stored`, () => {
      const rows = recordsOf(this.dataDir, requestId);
      strictEqual(rows.length <= 1, true, `${rows.length} records of ${requestId}`);
      return rows[0];
    });
  }

  /** Sum of a metric's samples with these labels; 0 when there are none. */
  async metric(name: string, labels: Labels = {}): Promise<number> {
    return sumOf(parseMetrics(await this.metricsPage()), name, labels) ?? 0;
  }

  async metricsPage(): Promise<string> {
    const response = await fetch(`${this.adminUrl}/metrics`);
    strictEqual(response.status, 200);
    return response.text();
  }

  async accessLogText(): Promise<string> {
    return readFile(this.accessLog, "utf8").catch(() => "");
  }

  private running(): Program {
    if (this.program === null) throw new Error("Sluice was not launched");
    return this.program;
  }
}
