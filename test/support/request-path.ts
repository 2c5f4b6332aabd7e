/**
 * The request path in the test's own process: real edge, pipeline, transport and ring, in front of a provider that is a
 * plain socket and says what the test scripts. For what the program as a whole cannot be made to do on command.
 */
import { closeSync, mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../native-bench/contestants/free-port.ts";
import { nowMs } from "../../src/base/clock.ts";
import { compileSnapshot } from "../../src/config/compile.ts";
import type { Tls } from "../../src/config/listener.ts";
import type { ModelConfig } from "../../src/config/model.ts";
import type { Config, ProviderConfig } from "../../src/config/schema.ts";
import { type Provider, type Snapshot, targetsOf } from "../../src/config/snapshot.ts";
import { Edge } from "../../src/http/edge.ts";
import { Refusals } from "../../src/http/refusals.ts";
import { native } from "../../src/native/native.ts";
import { Pipeline } from "../../src/pipeline/pipeline.ts";
import { type CountersReader, createCounters, openCounters } from "../../src/shm/counters.ts";
import { createHistograms, openHistograms } from "../../src/shm/histogram-map.ts";
import { HistogramsReader } from "../../src/shm/histogram-reader.ts";
import type { DecodedRecord } from "../../src/shm/record-codec.ts";
import { openRing, RingReader } from "../../src/shm/ring.ts";
import { listRings } from "../../src/shm/ring-file.ts";
import { Origins } from "../../src/upstream/origins.ts";
import { CREDENTIAL, hashOf, KEY } from "./config.ts";

const SWEEP_MS = 20;
/** Of a key that may use the model "allowed" only. */
export const NARROW_KEY = "sk-sluice-narrow-0123456789";

/** Called with each connection of the provider, and everything that arrived on it whenever more did. */
export type Script = (socket: Socket, received: Buffer) => void;

export function providerConfig(port: number, changes: Partial<ProviderConfig> = {}): ProviderConfig {
  return {
    type: "openai",
    baseUrl: `http://127.0.0.1:${port}/base/v1`,
    credentials: [{ header: "authorization", value: `Bearer ${CREDENTIAL}`, source: "the test" }],
    headers: [],
    query: "",
    transport: "native",
    tls: { ca: null, client: null, serverName: null },
    http2: false,
    proxy: null,
    proxyAuthorization: null,
    usageOption: true,
    ...changes,
  };
}

/** With one target. */
export function modelOf(provider: string, model: string | null): ModelConfig {
  return { targets: [{ provider, model, weight: 1, priority: 0 }], strategy: "priority", attempts: 1 };
}

export function configOf(providers: Config["providers"], dataDir: string, changes: Partial<Config> = {}): Config {
  const here = { host: "127.0.0.1", port: 0 };
  const place = { kind: "tcp" as const, ...here };
  const key = { enabled: true, expiresAtMs: null, team: null };
  return {
    loadedAtMs: 1_700_000_000_000,
    listen: [{ place, tls: null, proxies: null }],
    admin: here,
    workers: 1,
    dataDir,
    logLevel: "info",
    accessLogPath: join(dataDir, "access.ndjson"),
    bounds: {
      bodyBytes: 1_048_576,
      bodyBytesInFlight: 8_388_608,
      jsonDepth: 64,
      connectionsPerProvider: 8,
      queuePerProvider: 8,
    },
    timeouts: {
      connectMs: 2_000,
      firstByteMs: 5_000,
      idleMs: 30_000,
      totalMs: 60_000,
      queueMs: 2_000,
      stallMs: 5_000,
      drainMs: 2_000,
      upstreamKeepAliveMs: 10_000,
    },
    replayStale: true,
    breaker: {
      enabled: true,
      failures: 1_000,
      errorPercent: 100,
      requests: 1_000,
      windowMs: 10_000,
      cooldownMs: 10_000,
      cooldownMaxMs: 60_000,
    },
    retries: { failures: 0b111111, pauseMs: 10, pauseMaxMs: 1_000, budgetPercent: 20, budgetMin: 10 },
    limits: [],
    arms: new Map(),
    series: new Map([
      ["allowed", 2],
      ["other", 3],
      ["", 4],
    ]),
    histograms: { intervalMs: 60_000, diskBytes: 1_048_576 },
    providers,
    models: { allowed: modelOf("main", "upstream-allowed"), other: modelOf("main", null) },
    passthrough: "main",
    prices: {},
    keys: [
      { ...key, name: "wide", hash: hashOf(KEY).slice(7), models: null },
      { ...key, name: "narrow", hash: hashOf(NARROW_KEY).slice(7), models: ["allowed"] },
    ],
    ...changes,
  };
}

export function providersOf(snapshot: Snapshot): Provider[] {
  return [...new Set(targetsOf(snapshot).map(({ provider }) => provider))];
}

/** A provider on a port of its own. */
export class ScriptedProvider {
  script: Script;
  /** Bytes of each connection, in order of their arrival. */
  readonly received: Buffer[] = [];
  readonly sockets: Socket[] = [];
  readonly #server: Server;

  private constructor(script: Script) {
    this.script = script;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async start(script: Script): Promise<ScriptedProvider> {
    const provider = new ScriptedProvider(script);
    await new Promise<void>((resolve) => provider.#server.listen(0, "127.0.0.1", resolve));
    return provider;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Of all connections. */
  get bytesTotal(): number {
    return this.received.reduce((sum, bytes) => sum + bytes.length, 0);
  }

  #serve(socket: Socket): void {
    const index = this.sockets.push(socket) - 1;
    this.received.push(Buffer.alloc(0));
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    socket.on("data", (bytes) => {
      const all = Buffer.concat([this.received[index] ?? Buffer.alloc(0), bytes]);
      this.received[index] = all;
      this.script(socket, all);
    });
  }

  stop(): void {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
  }
}

export class RequestPath {
  readonly port: number;
  readonly pipeline: Pipeline;
  readonly origins: Origins;
  readonly counters: CountersReader;
  readonly histograms: HistogramsReader;
  /** As the pipeline set it, one after the other. */
  readonly patiencesMs: number[] = [];
  readonly #memoryFile: number;
  readonly dataDir: string;
  readonly #edge: Edge;
  readonly #sweep: NodeJS.Timeout;
  readonly #ring: RingReader;

  private constructor(port: number, dataDir: string, snapshot: Snapshot) {
    this.port = port;
    this.dataDir = dataDir;
    this.counters = createCounters(dataDir);
    const { slot, writer: ring } = openRing(dataDir);
    this.#ring = new RingReader(listRings(dataDir)[0] ?? "");
    const counters = openCounters(dataDir, slot);
    this.origins = new Origins(counters);
    const transportOf = (provider: Provider) => this.origins.transportOf(provider);
    this.#memoryFile = createHistograms();
    const histograms = openHistograms(this.#memoryFile, slot);
    this.histograms = new HistogramsReader(this.#memoryFile).look();
    this.pipeline = new Pipeline({
      snapshot,
      ring,
      counters,
      histograms,
      limiter: null,
      transportOf,
      onTrouble: () => undefined,
      onBreaker: () => undefined,
      onCredential: () => undefined,
      eachTurn: native.eachTurn,
      setPatience: (ms) => {
        this.patiencesMs.push(ms);
        native.upstreamPatience(ms);
      },
    });
    this.#edge = new Edge(
      this.pipeline,
      new Refusals(
        () => {},
        () => {},
      ),
    );
    this.#sweep = setInterval(() => this.#onSweep(), SWEEP_MS);
  }

  static async start(
    provider: { readonly port: number },
    changes: Partial<Config> = {},
    tls: Tls | null = null,
  ): Promise<RequestPath> {
    const dataDir = mkdtempSync(join(tmpdir(), "sluice-path-"));
    const config = configOf({ main: providerConfig(provider.port) }, dataDir, changes);
    const path = new RequestPath(await freePort(), dataDir, compileSnapshot(config, 1));
    await path.reload(config);
    const place = { kind: "tcp" as const, host: "127.0.0.1", port: path.port };
    await path.#edge.listen([{ place, tls, proxies: null }]);
    return path;
  }

  #onSweep(): void {
    this.pipeline.sweep();
    this.origins.sweep(nowMs());
  }

  /** What a reload does. */
  async reload(config: Config): Promise<void> {
    const snapshot = compileSnapshot(config, 1);
    await this.origins.configure(snapshot, providersOf(snapshot));
    this.pipeline.snapshot = snapshot;
  }

  records(): DecodedRecord[] {
    return this.#ring.read(0, this.#ring.writePosition()).records;
  }

  stop(): void {
    closeSync(this.#memoryFile);
    clearInterval(this.#sweep);
    this.#edge.close();
    this.origins.retireAll();
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}
