/**
 * The supervisor process: composition root of everything that is not the request path. It opens the data directory, the
 * drainer, the demo provider and the admin port, keeps the gateway workers running, and closes all of it in the opposite
 * order. What must stay true: it never loads uWebSockets.js, and nothing here stands between a client and a provider.
 */
import { closeSync, existsSync, mkdirSync } from "node:fs";
import { availableParallelism, constants } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { CodedError } from "../base/errors.ts";
import { FINISHING_GENERATIONS_MAX, RINGS_MAX, WORKERS_MAX } from "../base/limits.ts";
import { type Log, openLog } from "../base/log.ts";
import { isProgramChange, PROGRAM, programOnDisk } from "../base/program.ts";
import { checkedOf, choicesOf, credentialsOf } from "../config/choices.ts";
import { controlPath } from "../config/control-path.ts";
import { writeFirstConfig } from "../config/first.ts";
import { listenerText } from "../config/listener.ts";
import { loadConfigApart } from "../config/load-apart.ts";
import type { Config } from "../config/schema.ts";
import type { SeriesTable } from "../config/series.ts";
import { type AdminServer, openAdmin } from "../control/admin.ts";
import { type ControlSource, openControl } from "../control/control-socket.ts";
import { native } from "../native/native.ts";
import { returnSpareMemory } from "../native/spare-memory.ts";
import type { CountersReader } from "../shm/counters.ts";
import { HISTOGRAMS_VERSION } from "../shm/histogram-map.ts";
import { COUNTER, COUNTERS_VERSION, GAUGE_SHEDDING } from "../shm/layout.ts";
import { Drainer } from "../telemetry/drainer.ts";
import { LATENCY_TASK, LatencyRotation } from "../telemetry/latency/rotation.ts";
import { Metrics } from "../telemetry/metrics.ts";
import { requireSinks } from "../telemetry/preflight.ts";
import { ProviderTallies } from "../telemetry/providers.ts";
import { BUDGET_TASK, type BudgetTask, type UsedSums } from "../telemetry/sinks/budget-query.ts";
import { TargetTallies } from "../telemetry/targets.ts";
import type { Budgets } from "./budgets.ts";
import { noteCertificates } from "./certificates.ts";
import { DemoProvider } from "./demo-provider.ts";
import { EarlyEnds } from "./early-ends.ts";
import { FormerWorkers } from "./former-workers.ts";
import { greeting, keyNotice } from "./greeting.ts";
import { HANDOVER_VERSION, type Handover, type Trial, takeHandover, takeTrial } from "./handover.ts";
import { type Memory, numbered, openMemory } from "./memory.ts";
import { requireFreePorts } from "./ports.ts";
import { Reloader } from "./reload.ts";
import { Restarter } from "./restart.ts";
import { Signals } from "./signals.ts";
import { Status } from "./status.ts";
import { Systemd } from "./systemd.ts";
import { adoptTallies, leaveTallies } from "./tallies.ts";
import { claimsOf, claimText, removeLeftTrials, trialConfig } from "./trial.ts";
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

/** How this program came to run; null and null: in the usual way. */
interface Origin {
  readonly handover: Handover | null;
  readonly trial: Trial | null;
}

/** What workers know together, for /metrics. */
interface Standings {
  readonly targets: TargetTallies;
  readonly providers: ProviderTallies;
}

interface Parts extends Standings {
  readonly log: Log;
  readonly version: string;
  readonly handover: Handover | null;
  readonly generation: number;
  readonly first: Configured;
  readonly memory: Memory;
  /** Workers, by reason. */
  readonly replaced: Map<string, number>;
  readonly admin: AdminServer;
  readonly former: FormerWorkers;
  readonly systemd: Systemd;
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
  const origin: Origin = { handover: takeHandover(), trial: takeTrial() };
  const earlyEnds = new EarlyEnds(origin.trial === null ? process.env : {});
  if (origin.handover === null) await earlyEnds.begin();
  const greets = firstRun && origin.handover === null && origin.trial === null;
  const key = firstRun && !existsSync(configPath) ? writeFirstConfig(configPath, process.env).key : null;
  let config: Config | null = null;
  const closers: Closers = [];
  try {
    const parts = await openParts(configPath, origin, closers).catch((error) => giveUp(error, origin, closers));
    const onReady = () => {
      config = parts.first.config;
      earlyEnds.serves();
      if (greets) process.stdout.write(greeting(config, configPath, key));
    };
    const isTrial = origin.trial !== null;
    const code = await runParts(parts, { configPath, closers, isTrial, onReady });
    if (code === 0) earlyEnds.clear();
    return code;
  } finally {
    for (const close of closers.reverse()) await close();
    if (key !== null && config === null) process.stdout.write(keyNotice(configPath, key));
  }
}

/** What the program before us left stays as it is: another attempt begins with it (native/guard.cc). */
function giveUp(error: unknown, { handover }: Origin, closers: Closers): never {
  if (handover !== null) closers.length = 0;
  throw error;
}

async function openParts(configPath: string, { handover, trial }: Origin, closers: Closers): Promise<Parts> {
  const read = await loadConfigApart(configPath, process.env);
  const config = trial === null ? read : trialConfig(read, trial);
  const version = readVersion();
  const log = openLog("supervisor", config.logLevel);
  log.info({ version, supervisor_pid: process.pid, config: configPath, data_dir: config.dataDir }, "starting");
  const lock = handover?.lock ?? takeDataDir(config.dataDir);
  removeLeftTrials(config.dataDir);
  // Those of the program before us are in use by its workers.
  if (handover === null)
    await requireFreePorts(claimsOf(read).filter((claim) => !trial?.ports.includes(claimText(claim))));
  requireSinks(config.dataDir, config.accessLogPath);
  const unixSockets = await UnixSockets.open(config.listen, handover?.unixSockets);
  closers.push(() => unixSockets.close());
  const demo = new DemoProvider(handover?.demo);
  closers.push(() => demo.close());
  const memory = openMemory(config, lock, handover);
  const { counters, histograms, series, limits, inFlight } = memory;
  const replaced = new Map<string, number>();
  const first = { epoch: (handover?.epoch ?? 0) + 1, config: numbered(memory, await demo.fillIn(config)) };
  const drainer = openDrainer(config, log);
  closers.push(() => drainer.close());
  const latencies = openLatencies(config, { descriptor: histograms, series, drainer, log });
  closers.push(() => latencies.close());
  const standings = { targets: new TargetTallies(memory.breakers), providers: new ProviderTallies(memory.breakers) };
  configureStandings(standings, config);
  const metrics = new Metrics({ ...memory, ...standings, drainer, latencies, replaced, routes: series, version });
  const status = new Status(version, metrics, latencies);
  status.setFormerServing(handover?.workers.length ?? 0);
  const admin = await openAdmin(config.admin.host, config.admin.port, status, formerAdmin(config, handover));
  closers.push(() => admin.close());
  noteOverflow(series, log);
  noteCertificates(config.listen, Date.now(), log);
  const onSlotFree = (slot: number, pid: number) => {
    counters.resetGauges(slot);
    limits.leaveSlot(slot, pid);
    inFlight.release(slot);
  };
  const beatOf = (slot: number) => counters.value(slot, COUNTER.heartbeatMs);
  const workers = new Workers({
    count: config.workers ?? Math.min(availableParallelism(), WORKERS_MAX),
    configured: first,
    log,
    fork: () => forkWorker(histograms, unixSockets.descriptors),
    onServing: (serving) => status.setServing(serving),
    onSlotFree,
    beatOf,
    shedsIn: (slot) => counters.value(slot, GAUGE_SHEDDING) > 0,
    isCurrent: () => programOnDisk() === PROGRAM,
    replaced,
    patient: handover !== null,
  });
  closers.push(() => workers.kill());
  const former = new FormerWorkers({ handover, log, onSlotFree, onGone: () => demo.releaseFormer() });
  closers.push(() => former.kill());
  const generation = (handover?.generation ?? 0) + 1;
  const systemd = new Systemd(process.env, () => ({
    beats: workers.slots.map((slot) => ({ slot, beatMs: beatOf(slot) })),
    status: statusLine(workers.serving, former.count, generation, counters),
  }));
  closers.push(() => systemd.close());
  const parts = {
    log,
    version,
    handover,
    generation,
    first,
    memory,
    replaced,
    admin,
    former,
    systemd,
    demo,
    series,
    ...standings,
    drainer,
    latencies,
  };
  return { ...parts, status, unixSockets, workers };
}

function statusLine(workers: number, finishing: number, generation: number, counters: CountersReader): string {
  const inFlight = counters.sum()[COUNTER.gaugeInFlight] ?? 0;
  const former = finishing === 0 ? "" : `, ${finishing} of earlier generations finish`;
  return `${workers} workers serve${former}; ${inFlight} requests in flight; generation ${generation}`;
}

/** The admin port's socket of the program before this one; null: there is none for this address. */
function formerAdmin({ admin }: Config, handover: Handover | null): number | null {
  if (handover === null) return null;
  const { host, port, descriptor } = handover.admin;
  return host === admin.host && port === admin.port ? descriptor : null;
}

/** One supervisor for each data directory: its store has one writer, its counters one maker. Held until the process ends. */
function takeDataDir(dataDir: string): number {
  let lock: number;
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    lock = native.lockFile(join(dataDir, "supervisor.lock"));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CodedError("data_dir_unusable", `Cannot use ${dataDir} (setting 'data_dir'): ${reason}`, cause);
  }
  if (lock < 0) throw new CodedError("data_dir_in_use", `Another sluice uses ${dataDir} (setting 'data_dir').`);
  return lock;
}

/** That an upgrade has put other files there is no error: what it holds up waits for the restart. */
function tell(log: Log, error: unknown, what: string): void {
  if (isProgramChange(error)) log.info({ what }, "waits for the restart into the program on disk");
  else log.error({ err: error }, what);
}

function openDrainer({ dataDir, accessLogPath }: Config, log: Log): Drainer {
  return new Drainer({ dataDir, accessLogPath, onError: (error) => tell(log, error, "drain") });
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
    onError: (error) => tell(log, error, "histograms"),
  });
  return latencies;
}

interface Run {
  readonly configPath: string;
  readonly closers: Closers;
  /** Stop once all workers serve. */
  readonly isTrial: boolean;
  /** All workers serve. */
  readonly onReady: () => void;
}

/** From the first worker's start to the last one's end. */
async function runParts(parts: Parts, { configPath, closers, isTrial, onReady }: Run): Promise<number> {
  const { log, workers } = parts;
  const stop = Promise.withResolvers<string>();
  const end = Promise.withResolvers<number>();
  const reloader = openReloader(parts, configPath);
  const restarter = openRestarter(parts, reloader);
  const orders = ordersTo(parts, reloader, restarter);
  workers.onOutdated = () => void restarter.restart();
  const signals = new Signals({
    // One that comes during a restart is for the next program; for this one only if that does not come.
    reload: () => void restarter.over.then(() => orders.reload()),
    reopen: () => void reopenLog(parts, reloader.config.accessLogPath),
    stop: (signal) => {
      restarter.giveUp();
      stop.resolve(signal);
    },
    endNow: (signal) => end.resolve(exitCodeOf(signal, log)),
  });
  closers.push(() => signals.close());
  closers.push(await openOrders(parts, orders));
  begin(parts);
  closers.push(parts.memory.arms.start(parts.first.config, log));
  await adoptBudgets(parts);
  const started = workers.start().then(() => "started" as const);
  if ((await Promise.race([started, stop.promise])) === "started") {
    beReady(parts);
    onReady();
    if (isTrial) stop.resolve("the end of the trial");
  }
  return Promise.race([end.promise, stop.promise.then((signal) => shutDown(parts, reloader, signal))]);
}

/** All parts are there. From here on what the program before us left is ours, and there is no other attempt. */
function begin(parts: Parts): void {
  const { handover, memory, first, drainer, latencies, former, systemd } = parts;
  native.releaseSignals();
  if (handover?.tallies !== undefined) adoptTallies(handover.tallies, parts);
  if (handover !== null && handover.histograms.descriptor !== memory.histograms)
    closeSync(handover.histograms.descriptor);
  if (handover !== null && formerAdmin(first.config, handover) === null) closeSync(handover.admin.descriptor);
  drainer.start();
  latencies.start();
  if (former.count > 0) systemd.watch();
}

/**
 * Before workers count. What waits in the rings belongs to it, but where workers of the program before still write into
 * them, there is no end of it, and the map has all of it already.
 */
async function adoptBudgets({ handover, first, drainer, memory, log }: Parts): Promise<void> {
  if (first.config.limits.every(({ calendar }) => calendar === null)) return;
  if (handover === null) await drainer.drainAll();
  await raiseBudgets(drainer, memory.budgets, log);
}

/** A store that cannot be read keeps nobody from serving: then the map is what there is. */
async function raiseBudgets(drainer: Drainer, budgets: Budgets, log: Log): Promise<void> {
  const query = (task: BudgetTask) => drainer.runBeside<BudgetTask, UsedSums[]>(BUDGET_TASK, task);
  await budgets.adopt(query).catch((error) => tell(log, error, "budgets are what the map of limits says"));
}

/** All workers serve: those of the earlier generation are not needed any more. */
function beReady({ log, status, workers, former, unixSockets, systemd, first, generation }: Parts): void {
  const { epoch, config } = first;
  status.setEpoch(epoch);
  status.phase = "running";
  const facts = { workers: workers.serving, listen: config.listen.map(listenerText), admin: config.admin, generation };
  log.info(facts, "ready");
  former.retire();
  unixSockets.releaseFormer();
  systemd.ready();
  returnSpareMemory();
}

async function openOrders({ log, first }: Parts, orders: ControlSource): Promise<() => Promise<void>> {
  try {
    const socket = await openControl(controlPath(first.config.dataDir), orders);
    return () => socket.close();
  } catch (error) {
    log.warn({ err: error }, "there is no control socket: sluice reload and sluice restart do not work");
    return async () => {};
  }
}

function ordersTo(parts: Parts, reloader: Reloader, restarter: Restarter): ControlSource {
  const { memory, status, systemd, workers, former, version, generation } = parts;
  const outcome = (refusal: string | null) => ({ refusal, epoch: reloader.epoch });
  return {
    state: () => ({
      pid: process.pid,
      version,
      generation,
      epoch: reloader.epoch,
      phase: status.phase,
      workers: workers.serving,
      finishing: former.count,
      restartError: restarter.error,
    }),
    reload: async () => {
      // While it starts, workers get the new configuration as soon as they serve.
      if (restarter.running) return outcome("A restart is under way.");
      if (status.phase === "stopping") return outcome("The gateway is stopping.");
      systemd.reloading("the configuration is read again");
      const refusal = await reloader.reload();
      if (status.phase === "running") systemd.ready();
      return outcome(refusal);
    },
    restart: async () => outcome(await restarter.restart()),
    resetCanary: (model) => outcome(memory.arms.reset(model) ? null : "That model or route has no canary."),
    explain: (question) => workers.explain(question),
  };
}

function openRestarter(parts: Parts, reloader: Reloader): Restarter {
  const { log, status, systemd, drainer, latencies, workers } = parts;
  return new Restarter({
    config: () => reloader.config,
    log,
    obstacle: () => obstacleTo(parts),
    prepare: async () => {
      systemd.handingOver();
      const left = await workers.leave();
      await latencies.rotate();
      await latencies.close();
      await drainer.close();
      return handoverOf(parts, reloader, left);
    },
    resume: () => {
      drainer.start();
      latencies.configure(reloader.config.histograms);
      if (status.phase !== "stopping") workers.resume();
    },
  });
}

/** Why there can be no other generation now; null: there can. */
function obstacleTo({ status, workers, former }: Parts): string | null {
  // While the next generation comes up in vain, another one may do better: the earlier ones serve.
  if (status.phase !== "running" && (status.phase !== "starting" || former.serving.length === 0))
    return `The gateway is ${status.phase}.`;
  if (former.count < FINISHING_GENERATIONS_MAX * workers.count && former.count + 2 * workers.count <= RINGS_MAX)
    return null;
  return `${former.count} workers of earlier generations finish what runs: another restart has to wait for some of them.`;
}

function handoverOf(parts: Parts, reloader: Reloader, left: Handover["workers"]): Handover {
  const { memory, generation, former, demo, series, unixSockets, admin } = parts;
  return {
    version: HANDOVER_VERSION,
    generation,
    epoch: reloader.epoch,
    lock: memory.lock,
    countersVersion: COUNTERS_VERSION,
    histograms: { descriptor: memory.histograms, version: HISTOGRAMS_VERSION, series: series.rows },
    admin: { ...reloader.config.admin, descriptor: admin.descriptor },
    unixSockets: unixSockets.left,
    workers: [...former.serving, ...left],
    finishing: former.left,
    drainMs: reloader.config.timeouts.drainMs,
    demo: demo.left,
    tallies: leaveTallies(parts),
  };
}

function openReloader(
  { log, first, memory, targets, providers, demo, series, drainer, latencies, status, workers }: Parts,
  configPath: string,
): Reloader {
  const apply = async (next: Configured) => {
    memory.budgets.configure(next.config);
    memory.arms.configure(next.config);
    await raiseBudgets(drainer, memory.budgets, log);
    const late = await workers.configure(next);
    configureStandings({ targets, providers }, next.config);
    log.level = next.config.logLevel;
    drainer.setAccessLogPath(next.config.accessLogPath);
    latencies.configure(next.config.histograms);
    noteOverflow(series, log);
    noteCertificates(next.config.listen, Date.now(), log);
    status.setEpoch(next.epoch);
    return late;
  };
  const complete = async (config: Config) => numbered(memory, await demo.fillIn(config));
  return new Reloader({ configPath, env: process.env, log, current: first, complete, apply });
}

function configureStandings({ targets, providers }: Standings, { models, providers: configured }: Config): void {
  targets.configure(choicesOf(models));
  providers.configure(credentialsOf(configured), checkedOf(configured));
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
  const { log, status, unixSockets, workers, former, systemd, drainer, latencies } = parts;
  status.phase = "stopping";
  systemd.stopping();
  unixSockets.close();
  former.retire();
  former.hurry();
  const { drainMs } = reloader.config.timeouts;
  log.info({ signal, deadline_ms: drainMs, workers: workers.serving }, "stopping: requests that run are finished");
  await Promise.all([workers.drain(drainMs), former.gone]);
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
