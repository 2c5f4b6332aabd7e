/**
 * The gateway workers: one place for each, filled again when its worker dies. Supervisor main thread. What must stay
 * true: the others are never touched when one dies; a worker that dies early again and again is retried more and more
 * slowly; a service whose workers cannot come up at its start ends, instead of trying for ever.
 */
import type { ChildProcess } from "node:child_process";
import { nowMs } from "../base/clock.ts";
import { CodedError, ERRORS } from "../base/errors.ts";
import { DRAIN_GRACE_MS, HUNG_AFTER_MS } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { ExplainOutcome, ExplainQuestion } from "../config/explanation.ts";
import type { ReplacedReason } from "../telemetry/metrics.ts";
import { delayAfter, SOUND_AFTER_MS } from "./backoff.ts";
import type { LeftWorker } from "./handover.ts";
import {
  type BreakerTurn,
  type Configured,
  type CredentialTurn,
  type HealthTurn,
  type ProviderTrouble,
  type ReachedBudget,
  type RefusedConnections,
  type WorkerEvents,
  WorkerProcess,
} from "./worker-process.ts";

/** Deaths in a row of one place, before the service was up, that end it. */
const NANO_PER_DOLLAR = 1_000_000_000;
const BOOT_DEATHS_MAX = 3;
/** A worker that does not serve after this is killed, milliseconds. */
const START_MS_MAX = 30_000;
/** Between two looks for the program that runs, when another one is on disk, milliseconds. */
const OUTDATED_PAUSE_MS = 5_000;
/** How long workers may take to confirm a configuration, milliseconds. */
const CONFIRM_MS_MAX = 10_000;
/** Between two looks at their heartbeats, milliseconds. A hang is counted in looks: a machine that sleeps is none. */
const LOOK_MS = 1_000;
const STILL_LOOKS_MAX = HUNG_AFTER_MS / LOOK_MS;

export interface WorkersOptions {
  readonly count: number;
  readonly configured: Configured;
  readonly log: Log;
  readonly fork: () => ChildProcess;
  /** Others serve meanwhile: workers that do not come up are tried for ever. */
  readonly patient: boolean;
  /** The number of workers that serve changed. */
  readonly onServing: (workers: number) => void;
  /** The worker `pid`, which held this slot, is dead. */
  readonly onSlotFree: (slot: number, pid: number) => void;
  /** Heartbeat of the worker in this slot. */
  readonly beatOf: (slot: number) => number;
  /** Whether the worker of this slot sheds load. */
  readonly shedsIn: (slot: number) => boolean;
  /** Whether what is on disk is the program that runs. */
  readonly isCurrent: () => boolean;
  /** Counts of workers by ReplacedReason. */
  readonly replaced: Map<string, number>;
}

interface Place {
  worker: WorkerProcess | null;
  /** In a row, before SOUND_AFTER_MS of service. */
  earlyDeaths: number;
  /** To the next start, or to the end of the patience with this one. */
  timer: NodeJS.Timeout | undefined;
  lastFailure: string;
  /** At the last look, and how often it was the same. */
  beat: number;
  stillLooks: number;
}

export class Workers {
  /** Another program is on disk, and a worker is missing: nothing is started from it, all of the program has to be replaced. */
  onOutdated: () => void = () => {};
  readonly #options: WorkersOptions;
  readonly #log: Log;
  readonly #places: readonly Place[];
  readonly #events: WorkerEvents = {
    listening: (worker) => this.#onListening(worker),
    configured: (worker) => this.#onConfigured(worker),
    failed: (worker, code, message) => this.#onFailed(worker, code, message),
    trouble: (worker, trouble) => this.#onTrouble(worker, trouble),
    breaker: (worker, turn) => this.#onBreaker(worker, turn),
    health: (worker, turn) => this.#onHealth(worker, turn),
    credential: (worker, turn) => this.#onCredential(worker, turn),
    refused: (worker, refused) => this.#onRefused(worker, refused),
    budget: (_, reached) => this.#onBudget(reached),
    ended: (worker, how) => this.#onEnded(worker, how),
  };
  /** Those who wait for something look again after every event. */
  readonly #watchers = new Set<() => void>();
  #current: Configured;
  #phase: "boot" | "up" | "draining";
  #bootError: CodedError | null = null;
  #lookTimer: NodeJS.Timeout | null = null;

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#current = options.configured;
    this.#phase = options.patient ? "up" : "boot";
    const place = () => ({ worker: null, earlyDeaths: 0, timer: undefined, lastFailure: "", beat: 0, stillLooks: 0 });
    this.#places = Array.from({ length: options.count }, place);
  }

  /** How many there should be. */
  get count(): number {
    return this.#places.length;
  }

  /** Workers that serve. */
  get serving(): number {
    return this.#alive().filter((worker) => worker.listeningSinceMs !== null).length;
  }

  /** Resolves when every worker serves. Rejects with CodedError `workers_failed` when one cannot. */
  async start(): Promise<void> {
    this.#lookTimer = setInterval(() => this.#lookAtBeats(), LOOK_MS);
    this.#places.forEach((_, index) => {
      this.#spawn(index);
    });
    await this.#until(() => this.#bootError !== null || this.serving === this.#places.length, Infinity);
    if (this.#bootError !== null) throw this.#bootError;
    if (this.#phase === "boot") this.#phase = "up";
  }

  /** Puts a configuration in force everywhere. The process ids of workers that did not confirm in time. */
  async configure(next: Configured): Promise<readonly number[]> {
    this.#current = next;
    for (const worker of this.#alive()) if (worker.listeningSinceMs !== null) worker.configure(next);
    const late = () => this.#alive().filter((worker) => worker.epoch < next.epoch);
    await this.#until(() => late().length === 0, CONFIRM_MS_MAX);
    return late().map((worker) => worker.pid);
  }

  /** Has all of them finish what runs, and kills what is left after the deadline. Resolves when none is alive. */
  async drain(deadlineMs: number): Promise<void> {
    this.#phase = "draining";
    for (const place of this.#places) clearTimeout(place.timer);
    for (const worker of this.#alive()) {
      if (worker.listeningSinceMs === null) worker.kill();
      else worker.drain(deadlineMs);
    }
    const isOver = () => this.#alive().length === 0;
    await this.#until(isOver, deadlineMs + DRAIN_GRACE_MS);
    for (const worker of this.#alive())
      this.#log.error({ worker: worker.place, worker_pid: worker.pid }, "worker did not end in time; killing it");
    this.kill();
    await this.#until(isOver, Infinity);
  }

  /** As one of them decides: what they know together is the same for all, what is in flight and whose turn it is are its own. */
  async explain(question: ExplainQuestion): Promise<ExplainOutcome> {
    const worker = this.#alive().find(({ listeningSinceMs }) => listeningSinceMs !== null);
    const explanation = worker === undefined ? null : await worker.explain(question);
    if (explanation === null) return { error: "No worker serves at this moment." };
    const slots = this.slots;
    const shedding = slots.filter((slot) => this.#options.shedsIn(slot)).length;
    return { explanation: { ...explanation, workers: { serving: slots.length, shedding } } };
  }

  /** Slots of those that serve. */
  get slots(): number[] {
    return this.#alive().flatMap(({ slot }) => slot ?? []);
  }

  /**
   * Has those that serve go on without this program, and ends those that do not yet. Nothing is replaced any more, until
   * resume(). Resolves with them when all were told.
   */
  async leave(): Promise<LeftWorker[]> {
    this.#phase = "draining";
    for (const place of this.#places) clearTimeout(place.timer);
    for (const worker of this.#alive()) if (worker.listeningSinceMs === null) worker.kill();
    return (await Promise.all(this.#alive().map((worker) => worker.leave()))).filter((left) => left !== null);
  }

  /** It was not left after all: places that are empty are filled. */
  resume(): void {
    this.#phase = "up";
    this.#places.forEach(({ worker }, index) => {
      if (worker === null) this.#respawn(index);
    });
  }

  /** Ends all of them without waiting. */
  kill(): void {
    this.#phase = "draining";
    if (this.#lookTimer !== null) clearInterval(this.#lookTimer);
    for (const place of this.#places) clearTimeout(place.timer);
    for (const worker of this.#alive()) worker.kill();
  }

  /** Kills those whose loop stands still. */
  #lookAtBeats(): void {
    for (const place of this.#places) {
      const slot = place.worker?.slot ?? null;
      const beat = slot === null ? 0 : this.#options.beatOf(slot);
      place.stillLooks = slot !== null && beat === place.beat ? place.stillLooks + 1 : 0;
      place.beat = beat;
      if (place.stillLooks === STILL_LOOKS_MAX) this.#killHung(place);
    }
  }

  #killHung({ worker }: Place): void {
    if (worker === null) return;
    const facts = { worker: worker.place, worker_pid: worker.pid, still_ms: HUNG_AFTER_MS };
    this.#log.error(facts, "worker hangs; killing it");
    worker.kill();
  }

  #alive(): WorkerProcess[] {
    return this.#places.flatMap(({ worker }) => worker ?? []);
  }

  #placeOf(worker: WorkerProcess): Place | undefined {
    return this.#places[worker.place];
  }

  #spawn(index: number): void {
    const place = this.#places[index];
    if (place === undefined) return;
    const worker = new WorkerProcess(index, this.#options.fork(), this.#events);
    place.worker = worker;
    place.timer = setTimeout(() => this.#giveUp(worker), START_MS_MAX);
    worker.configure(this.#current);
    this.#log.debug({ worker: index, worker_pid: worker.pid }, "worker started");
  }

  #respawn(index: number): void {
    const place = this.#places[index];
    if (this.#phase === "boot" || this.#options.isCurrent()) this.#spawn(index);
    else if (place !== undefined) {
      place.timer = setTimeout(() => this.#respawn(index), OUTDATED_PAUSE_MS);
      this.#log.error({ worker: index }, "another program is on disk: no worker is started before a restart");
      this.onOutdated();
    }
  }

  #giveUp(worker: WorkerProcess): void {
    this.#log.error({ worker: worker.place, worker_pid: worker.pid }, "worker does not come up; killing it");
    worker.kill();
  }

  #onListening(worker: WorkerProcess): void {
    clearTimeout(this.#placeOf(worker)?.timer);
    this.#log.info({ worker: worker.place, worker_pid: worker.pid, slot: worker.slot }, "worker serves");
    if (worker.notice !== null) this.#log.warn({ worker: worker.place }, worker.notice);
    if (worker.epoch < this.#current.epoch) worker.configure(this.#current);
    this.#options.onServing(this.serving);
    this.#look();
  }

  #onConfigured(worker: WorkerProcess): void {
    this.#log.debug({ worker: worker.place, epoch: worker.epoch }, "worker took the configuration");
    this.#look();
  }

  #onFailed(worker: WorkerProcess, code: string, message: string): void {
    const place = this.#placeOf(worker);
    if (place !== undefined) place.lastFailure = message;
    this.#log.error({ worker: worker.place, worker_pid: worker.pid, code }, `worker failed: ${message}`);
  }

  /** A refused credential needs a person; the rest may pass by itself. */
  #onTrouble(worker: WorkerProcess, { provider, code, cause, credential, requestId, count }: ProviderTrouble): void {
    const which = credential === 0 ? {} : { credential };
    const facts = { worker: worker.place, provider, code, cause, ...which, request_id: requestId, count };
    const level = code === ERRORS.upstreamAuth.code ? "error" : "warn";
    this.#log[level](facts, "provider failed");
  }

  #onBreaker(worker: WorkerProcess, { provider, model, open, requestId }: BreakerTurn): void {
    const facts = { worker: worker.place, provider, model, request_id: requestId };
    if (open) this.#log.warn(facts, "target left alone: its breaker is open");
    else this.#log.info(facts, "target is back: its breaker is closed");
  }

  #onHealth(worker: WorkerProcess, { provider, healthy, cause }: HealthTurn): void {
    const facts = { worker: worker.place, provider, cause };
    if (healthy) this.#log.info(facts, "provider is healthy again");
    else this.#log.warn(facts, "provider is unhealthy: its targets are passed over");
  }

  #onCredential(worker: WorkerProcess, { provider, credential, source, refused, requestId }: CredentialTurn): void {
    const facts = { worker: worker.place, provider, credential, from: source, request_id: requestId };
    if (refused) this.#log.error(facts, "credential refused: it is left alone, and others are used");
    else this.#log.info(facts, "credential is taken again");
  }

  #onRefused(worker: WorkerProcess, { listener, reason, detail, count }: RefusedConnections): void {
    this.#log.warn({ worker: worker.place, listen: listener, reason, detail, count }, "connections refused");
  }

  #onBudget({ budget, quantity, limit, percent, subject, requestId }: ReachedBudget): void {
    const unit = quantity === "cost" ? { limit_usd: limit / NANO_PER_DOLLAR } : { limit };
    this.#log.warn({ budget, quantity, ...unit, percent, ...subject, request_id: requestId }, "budget reached");
  }

  #onEnded(worker: WorkerProcess, how: string): void {
    const place = this.#placeOf(worker);
    if (place === undefined) return;
    place.worker = null;
    clearTimeout(place.timer);
    if (worker.slot !== null) this.#options.onSlotFree(worker.slot, worker.pid);
    this.#options.onServing(this.serving);
    if (this.#phase === "draining")
      this.#log.info({ worker: worker.place, worker_pid: worker.pid, how }, "worker ended");
    else this.#replace(worker, place, how);
    this.#look();
  }

  #replace(worker: WorkerProcess, place: Place, how: string): void {
    const servedMs = worker.listeningSinceMs === null ? 0 : nowMs() - worker.listeningSinceMs;
    this.#count(
      worker.listeningSinceMs === null ? "not_started" : place.stillLooks >= STILL_LOOKS_MAX ? "hung" : "died",
    );
    place.stillLooks = 0;
    place.earlyDeaths = servedMs >= SOUND_AFTER_MS ? 0 : place.earlyDeaths + 1;
    const delayMs = delayAfter(place.earlyDeaths);
    const facts = {
      worker: worker.place,
      worker_pid: worker.pid,
      how,
      served_ms: Math.round(servedMs),
      delay_ms: delayMs,
    };
    this.#log.error(facts, "worker died; replacing it");
    if (this.#phase === "boot" && place.earlyDeaths >= BOOT_DEATHS_MAX) this.#failBoot(place, how);
    else place.timer = setTimeout(() => this.#respawn(worker.place), delayMs);
  }

  #count(reason: ReplacedReason): void {
    const { replaced } = this.#options;
    replaced.set(reason, (replaced.get(reason) ?? 0) + 1);
  }

  #failBoot(place: Place, how: string): void {
    const reason = place.lastFailure === "" ? `it ended with ${how}` : place.lastFailure;
    this.#bootError = new CodedError("workers_failed", `The gateway worker does not come up: ${reason}`);
  }

  #look(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }

  /** Resolves when `isDone` holds, which is looked at after every event, or after `deadlineMs`. */
  #until(isDone: () => boolean, deadlineMs: number): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        resolve();
      };
      const look = () => {
        if (isDone()) finish();
      };
      const timer = deadlineMs === Infinity ? undefined : setTimeout(finish, deadlineMs);
      this.#watchers.add(look);
      look();
    });
  }
}
