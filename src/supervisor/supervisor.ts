/**
 * The supervisor process: composition root of everything that is not the request path. It opens the data directory, the
 * drainer, the demo provider and the admin port, keeps the gateway workers running, and closes all of it in the opposite
 * order. What must stay true: it never loads uWebSockets.js, and nothing here stands between a client and a provider.
 */
import { existsSync, mkdirSync } from "node:fs";
import { availableParallelism, constants } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { CodedError } from "../base/errors.ts";
import { WORKERS_MAX } from "../base/limits.ts";
import { type Log, openLog } from "../base/log.ts";
import { writeFirstConfig } from "../config/first.ts";
import { listenerText } from "../config/listener.ts";
import { loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { SeriesTable } from "../config/series.ts";
import { openAdmin } from "../control/admin.ts";
import { native } from "../native/native.ts";
import { createCounters } from "../shm/counters.ts";
import { createHistograms } from "../shm/histogram-map.ts";
import { Drainer } from "../telemetry/drainer.ts";
import { LATENCY_TASK, LatencyRotation } from "../telemetry/latency/rotation.ts";
import { Metrics } from "../telemetry/metrics.ts";
import { requireSinks } from "../telemetry/preflight.ts";
import { DemoProvider } from "./demo-provider.ts";
import { greeting, keyNotice } from "./greeting.ts";
import { requireFreePorts } from "./ports.ts";
import { Reloader } from "./reload.ts";
import { Signals } from "./signals.ts";
import { Status } from "./status.ts";
import { UnixSockets } from "./unix-sockets.ts";
import { readVersion } from "./version.ts";
import { type Configured, forkWorker } from "./worker-process.ts";
import { Workers } from "./workers.ts";

export interface ServeOptions {
  readonly configPath: string;
  /** Write a configuration if there is none, and say on standard output how to use the gateway. */
  readonly firstRun: boolean;
}

/** Closes what was opened, newest first. */
type Closers = (() => Promise<void> | void)[];

interface Parts {
  readonly log: Log;
  readonly first: Configured;
  readonly demo: DemoProvider;
  readonly series: SeriesTable;
  readonly drainer: Drainer;
  readonly latencies: LatencyRotation;
  readonly status: Status;
  readonly unixSockets: UnixSockets;
  readonly workers: Workers;
}

/** Runs the gateway until it is told to stop; the exit code. Throws a CodedError when it cannot start. */
export async function serve({ configPath, firstRun }: ServeOptions): Promise<number> {
  const key = firstRun && !existsSync(configPath) ? writeFirstConfig(configPath, process.env).key : null;
  let config: Config | null = null;
  const closers: Closers = [];
  try {
    const parts = await openParts(configPath, closers);
    return await runParts(parts, configPath, closers, () => {
      config = parts.first.config;
      if (firstRun) process.stdout.write(greeting(config, configPath, key));
    });
  } finally {
    for (const close of closers.reverse()) await close();
    if (key !== null && config === null) process.stdout.write(keyNotice(configPath, key));
  }
}

async function openParts(configPath: string, closers: Closers): Promise<Parts> {
  const config = loadConfig(configPath, process.env);
  const version = readVersion();
  const log = openLog("supervisor", config.logLevel);
  log.info({ version, supervisor_pid: process.pid, config: configPath, data_dir: config.dataDir }, "starting");
  takeDataDir(config.dataDir);
  await requireFreePorts([
    ...config.listen.flatMap(({ place }) => (place.kind === "tcp" ? [{ ...place, setting: "listen" }] : [])),
    { ...config.admin, setting: "admin.listen" },
  ]);
  requireSinks(config.dataDir, config.accessLogPath);
  const unixSockets = await UnixSockets.open(config.listen);
  closers.push(() => unixSockets.close());
  const demo = new DemoProvider();
  closers.push(() => demo.close());
  const series = new SeriesTable();
  const first = { epoch: 1, config: series.numbered(await demo.fillIn(config)) };
  const drainer = openDrainer(config, log);
  closers.push(() => drainer.close());
  const counters = createCounters(config.dataDir);
  const histograms = createHistograms();
  const latencies = openLatencies(config, { descriptor: histograms, series, drainer, log });
  closers.push(() => latencies.close());
  const metrics = new Metrics({ counters, drainer, latencies, routes: series, version });
  const status = new Status(version, metrics, latencies);
  const admin = await openAdmin(config.admin.host, config.admin.port, status);
  closers.push(() => admin.close());
  noteOverflow(series, log);
  const workers = new Workers({
    count: config.workers ?? Math.min(availableParallelism(), WORKERS_MAX),
    configured: first,
    log,
    fork: () => forkWorker(histograms, unixSockets.descriptors),
    onServing: (serving) => status.setServing(serving),
    onSlotFree: (slot) => counters.resetGauges(slot),
  });
  closers.push(() => workers.kill());
  return { log, first, demo, series, drainer, latencies, status, unixSockets, workers };
}

/** One supervisor for each data directory: its store has one writer, its counters one maker. Held until the process ends. */
function takeDataDir(dataDir: string): void {
  let held: boolean;
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    held = native.lockFile(join(dataDir, "supervisor.lock"));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CodedError("data_dir_unusable", `Cannot use ${dataDir} (setting 'data_dir'): ${reason}`, cause);
  }
  if (!held) throw new CodedError("data_dir_in_use", `Another sluice uses ${dataDir} (setting 'data_dir').`);
}

function openDrainer({ dataDir, accessLogPath }: Config, log: Log): Drainer {
  const drainer = new Drainer({ dataDir, accessLogPath, onError: (error) => log.error({ err: error }, "drain") });
  drainer.start();
  return drainer;
}

interface LatencyParts {
  /** Of the memory file. */
  readonly descriptor: number;
  readonly series: SeriesTable;
  readonly drainer: Drainer;
  readonly log: Log;
}

function openLatencies({ dataDir, histograms }: Config, { descriptor, series, drainer, log }: LatencyParts) {
  const latencies = new LatencyRotation({
    descriptor,
    dataDir,
    histograms,
    series,
    run: (task) => drainer.runBeside(LATENCY_TASK, task),
    onError: (error) => log.error({ err: error }, "histograms"),
  });
  latencies.start();
  return latencies;
}

/** From the first worker's start to the last one's end. `onReady` once all of them serve. */
async function runParts(parts: Parts, configPath: string, closers: Closers, onReady: () => void): Promise<number> {
  const { log, status, workers, first } = parts;
  const stop = Promise.withResolvers<string>();
  const end = Promise.withResolvers<number>();
  const reloader = openReloader(parts, configPath);
  const signals = new Signals({
    reload: () => status.phase !== "stopping" && void reloader.reload(),
    reopen: () => void reopenLog(parts, reloader.config.accessLogPath),
    stop: stop.resolve,
    endNow: (signal) => end.resolve(exitCodeOf(signal, log)),
  });
  closers.push(() => signals.close());
  const started = workers.start().then(() => "started" as const);
  if ((await Promise.race([started, stop.promise])) === "started") {
    status.setEpoch(first.epoch);
    status.phase = "running";
    log.info(
      { workers: workers.serving, listen: first.config.listen.map(listenerText), admin: first.config.admin },
      "ready",
    );
    onReady();
  }
  return Promise.race([end.promise, stop.promise.then((signal) => shutDown(parts, reloader, signal))]);
}

function openReloader(
  { log, first, demo, series, drainer, latencies, status, workers }: Parts,
  configPath: string,
): Reloader {
  const apply = async (next: Configured) => {
    const late = await workers.configure(next);
    log.level = next.config.logLevel;
    drainer.setAccessLogPath(next.config.accessLogPath);
    latencies.configure(next.config.histograms);
    noteOverflow(series, log);
    status.setEpoch(next.epoch);
    return late;
  };
  const complete = async (config: Config) => series.numbered(await demo.fillIn(config));
  return new Reloader({ configPath, env: process.env, log, current: first, complete, apply });
}

function noteOverflow({ beyond, rows }: SeriesTable, log: Log): void {
  if (beyond === 0) return;
  log.warn({ routes: beyond, series: rows.length }, "too many routes since the start: these share latency histograms");
}

async function reopenLog({ drainer, log }: Parts, path: string | null): Promise<void> {
  await drainer.reopenLog();
  log.info({ path }, path === null ? "there is no access log to reopen" : "access log reopened");
}

/** Not ready, then no new connections, then no requests, then no records: each ends before the next. */
async function shutDown(parts: Parts, reloader: Reloader, signal: string): Promise<number> {
  const { log, status, unixSockets, workers, drainer, latencies } = parts;
  status.phase = "stopping";
  unixSockets.close();
  const { drainMs } = reloader.config.timeouts;
  log.info({ signal, deadline_ms: drainMs, workers: workers.serving }, "stopping: requests that run are finished");
  await workers.drain(drainMs);
  log.info("workers ended; storing the last records");
  await Promise.all([drainer.drainAll(), latencies.rotate()]);
  log.info({ records: drainer.tally.records }, "stopped");
  return 0;
}

/** As a shell reports a signal. */
function exitCodeOf(signal: string, log: Log): number {
  log.warn({ signal }, "told twice to stop: ending at once; records that are not stored yet are at the next start");
  return 128 + (signal === "SIGINT" ? constants.signals.SIGINT : constants.signals.SIGTERM);
}
