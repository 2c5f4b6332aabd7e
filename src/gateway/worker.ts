/**
 * A gateway worker: one process, one thread, forked by the supervisor. Composition root of the request path. It waits for
 * its configuration, serves the proxy port, and ends when it is told to drain or when the supervisor is gone. Signals are
 * the supervisor's business: a terminal sends them to the whole group.
 */
import { readFileSync } from "node:fs";
import { nowMs } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import { QUIET_MS, SWEEP_INTERVAL_MS } from "../base/limits.ts";
import { PROGRAM } from "../base/program.ts";
import { compileSnapshot } from "../config/compile.ts";
import type { FromWorker, ToWorker } from "../config/messages.ts";
import type { Config } from "../config/schema.ts";
import { type Provider, type Snapshot, targetsOf } from "../config/snapshot.ts";
import { Edge } from "../http/edge.ts";
import { Refusals, type Refused } from "../http/refusals.ts";
import { native } from "../native/native.ts";
import { returnSpareMemory } from "../native/spare-memory.ts";
import type { CredentialChange } from "../pipeline/credential.ts";
import { explain } from "../pipeline/explain.ts";
import { type HealthChange, HealthChecks } from "../pipeline/health-checks.ts";
import { Limiter } from "../pipeline/limit.ts";
import { Pipeline } from "../pipeline/pipeline.ts";
import type { BreakerChange } from "../pipeline/target-health.ts";
import { type StateMaps, TargetStates } from "../pipeline/target-states.ts";
import type { Trouble } from "../pipeline/trouble.ts";
import { type ArmsMap, openArms } from "../shm/arms.ts";
import { openBreakers } from "../shm/breakers.ts";
import { openCounters } from "../shm/counters.ts";
import { HISTOGRAMS_DESCRIPTOR, openHistograms } from "../shm/histogram-map.ts";
import { openInFlight } from "../shm/in-flight.ts";
import { REFUSAL_0 } from "../shm/layout.ts";
import { attachLimits } from "../shm/limits.ts";
import { openRing } from "../shm/ring.ts";
import { openRoutes } from "../shm/routes.ts";
import { openTargets } from "../shm/targets.ts";
import { Origins } from "../upstream/origins.ts";

/** After the last answer was handed over, for the kernel to take it. */
const LINGER_MS = 2 * SWEEP_INTERVAL_MS;

/** For handshakes that have begun to end, and the queue to run empty: a long round trip. */
const PASS_ON_MS = 300;
const MIGRATION_FILE = "/proc/sys/net/ipv4/tcp_migrate_req";

/** Everything of a worker that serves. */
interface Serving {
  readonly pipeline: Pipeline;
  readonly limiter: Limiter;
  readonly states: TargetStates;
  readonly arms: ArmsMap;
  readonly origins: Origins;
  readonly checks: HealthChecks;
  readonly edge: Edge;
  readonly sweep: NodeJS.Timeout;
}

let serving: Serving | null = null;
/** Told to end before it served. */
let unwanted = false;
let drainDeadlineMs = Infinity;
let idleSinceMs = 0;
/** When a replaced worker stops listening. */
let deafAtMs = Infinity;
/** How long nothing may happen before a drain is over: replaced workers keep idle connections until they end by themselves. */
let quietMs = LINGER_MS;

function tell(message: FromWorker): void {
  // With a callback: else a supervisor that died a moment ago is an uncaught EPIPE here.
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}

function providersOf(snapshot: Snapshot): Iterable<Provider> {
  return new Set(targetsOf(snapshot).map(({ provider }) => provider));
}

function stateMaps(dataDir: string): StateMaps {
  return {
    breakers: openBreakers(dataDir),
    targets: openTargets(dataDir),
    inFlight: openInFlight(dataDir),
    routes: openRoutes(dataDir),
  };
}

async function serve(config: Config, epoch: number): Promise<void> {
  const { slot, writer: ring, notice } = openRing(config.dataDir);
  const states = new TargetStates(stateMaps(config.dataDir), slot);
  const arms = openArms(config.dataDir);
  const snapshot = compileSnapshot(config, epoch, states.stateOf, states, arms.wordsOf(config.arms));
  const counters = openCounters(config.dataDir, slot);
  const limiter = new Limiter(attachLimits(config.dataDir, slot), (notice) => tell({ type: "budget", ...notice }));
  limiter.configure(snapshot);
  const histograms = openHistograms(HISTOGRAMS_DESCRIPTOR, slot);
  const origins = new Origins(counters);
  await origins.configure(snapshot, providersOf(snapshot));
  const transportOf = (provider: Provider) => origins.transportOf(provider);
  const onTrouble = (trouble: Trouble) => tell({ type: "trouble", ...trouble });
  const onCredential = (change: CredentialChange) => tell({ type: "credential", ...change });
  const onBreaker = (change: BreakerChange) => tell({ type: "breaker", ...change });
  const pipeline = new Pipeline({
    snapshot,
    ring,
    counters,
    histograms,
    limiter,
    transportOf,
    onTrouble,
    onBreaker,
    onCredential,
    eachTurn: native.eachTurn,
    setPatience: native.upstreamPatience,
  });
  const onHealth = (change: HealthChange) => tell({ type: "health", ...change });
  const checks = new HealthChecks({ transportOf, chance: Math.random, tell: onHealth });
  checks.configure(providersOf(snapshot));
  const onRefused = (refused: Refused) => tell({ type: "refused", ...refused });
  const edge = new Edge(pipeline, new Refusals((index) => counters.add(REFUSAL_0 + index, 1), onRefused));
  await edge.listen(config.listen);
  if (unwanted) {
    edge.close();
    return;
  }
  const sweep = setInterval(onSweep, SWEEP_INTERVAL_MS);
  returnSpareMemory();
  serving = { pipeline, limiter, states, arms, origins, checks, edge, sweep };
  tell({ type: "listening", epoch, slot, notice });
}

async function reconfigure(
  { pipeline, limiter, states, arms, origins, checks, edge }: Serving,
  config: Config,
  epoch: number,
): Promise<void> {
  const snapshot = compileSnapshot(config, epoch, states.stateOf, states, arms.wordsOf(config.arms));
  await origins.configure(snapshot, providersOf(snapshot));
  edge.configure(config.listen);
  pipeline.snapshot = snapshot;
  checks.configure(providersOf(snapshot));
  limiter.configure(snapshot);
  tell({ type: "configured", epoch });
}

function onSweep(): void {
  if (serving === null) return;
  serving.pipeline.sweep();
  serving.limiter.tick();
  serving.edge.sweep();
  serving.origins.sweep(nowMs());
  serving.checks.sweep(nowMs(), Date.now());
  if (serving.pipeline.draining) continueDrain(serving);
}

function drain(deadlineMs: number): void {
  drainDeadlineMs = Math.min(drainDeadlineMs, nowMs() + deadlineMs);
  if (serving === null) {
    unwanted = true;
    if (process.connected) process.disconnect();
    return;
  }
  serving.pipeline.drain();
  serving.checks.stop();
  if (quietMs !== QUIET_MS || kernelMigrates()) {
    serving.edge.stopListening();
    return;
  }
  serving.edge.passOn();
  deafAtMs = nowMs() + PASS_ON_MS;
}

/** Whether connections in the queue of a socket that closes go to another one. */
function kernelMigrates(): boolean {
  try {
    return readFileSync(MIGRATION_FILE, "latin1").trim() === "1";
  } catch {
    return false;
  }
}

/** Ends when nothing is in flight for a moment; at the deadline what still runs is ended with an error. */
function continueDrain(worker: Serving): void {
  const now = nowMs();
  if (now >= deafAtMs) worker.edge.stopListening();
  if (now >= drainDeadlineMs) worker.pipeline.expireAll();
  if (worker.pipeline.inFlight > 0) {
    idleSinceMs = 0;
    return;
  }
  if (idleSinceMs === 0) idleSinceMs = now;
  if (now - idleSinceMs >= quietMs || now >= drainDeadlineMs) stop(worker);
}

/** Closes all handles, so that the loop ends by itself: a process that exits with an open uWS handle aborts. */
function stop(worker: Serving): void {
  serving = null;
  clearInterval(worker.sweep);
  worker.pipeline.endShadows();
  worker.edge.close();
  worker.origins.retireAll();
  if (process.connected) process.disconnect();
}

function fail(error: unknown): void {
  const code = error instanceof CodedError ? error.code : "worker_failed";
  tell({ type: "failed", code, message: error instanceof Error ? error.message : String(error) });
  process.exitCode = 1;
  if (process.connected) process.disconnect();
}

/** An upgrade may have put other files there while this process was loaded. */
async function begin({ config, epoch, program }: Extract<ToWorker, { type: "configure" }>): Promise<void> {
  if (program !== PROGRAM) throw new CodedError("program_changed", "it is of another program than its supervisor");
  await serve(config, epoch);
}

/** One that is just ending says nothing. */
function answer({ id, question }: Extract<ToWorker, { type: "explain" }>): void {
  if (serving === null) return;
  const { pipeline, limiter } = serving;
  tell({ type: "explained", id, explanation: explain(pipeline.snapshot, limiter, question, pipeline) });
}

function onMessage(message: ToWorker): void {
  if (message.type === "drain") {
    quietMs = LINGER_MS;
    drain(message.deadlineMs);
  } else if (message.type === "leave") quietMs = QUIET_MS;
  else if (message.type === "explain") answer(message);
  else if (serving === null) begin(message).catch(fail);
  else reconfigure(serving, message.config, message.epoch).catch(fail);
}

/** The supervisor is gone: what runs is finished, within the timeout of the configuration in force. */
function onDisconnect(): void {
  drain(serving === null ? 0 : serving.pipeline.snapshot.timeouts.drainMs);
}

native.forgoIdleTime();
for (const signal of ["SIGINT", "SIGHUP", "SIGUSR2"] as const) process.on(signal, () => {});
// Of a replaced worker's supervisor, which cannot say it in another way: everything stops.
process.on("SIGTERM", () => {
  quietMs = LINGER_MS;
});
process.on("message", onMessage);
process.on("disconnect", onDisconnect);
