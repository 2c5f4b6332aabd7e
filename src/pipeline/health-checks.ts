/**
 * Active health checks: a worker asks a provider what its configuration says, over the transport that requests take, with its credential.
 * Gateway worker, off the request path. Every worker looks when a check is due, and the one that claims it in shared memory makes it; so there is
 * nobody to elect, and the next one is made by another worker if this one dies. No timer of its own: the worker's sweep drives it.
 */
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import { HEALTH_CHECKS_MAX } from "../base/limits.ts";
import type { HealthCheck, Provider } from "../config/snapshot.ts";
import type { Attempt, AttemptListener, ResponseHead, Transport, UpstreamRequest } from "../upstream/transport.ts";
import { freeCredential } from "./credential.ts";
import { claimCheck, judge } from "./provider-health.ts";

const EXTRA_LINES = "\r\naccept: */*\r\naccept-encoding: identity\r\nuser-agent: sluice-health-check";

/** A provider turned unhealthy, or healthy again. */
export interface HealthChange {
  readonly provider: string;
  readonly healthy: boolean;
  /** What the last check met. */
  readonly cause: string;
}

/** Our own bounds: they say nothing about the provider. */
const OURS = new Set<ErrorRow>([ERRORS.upstreamQueueFull, ERRORS.upstreamQueueTimeout]);

/** One check that runs. */
class Check implements AttemptListener {
  readonly deadlineMs: number;
  /** The answer is over, or will not come. */
  over = false;
  readonly #health: HealthCheck;
  readonly #transport: Transport;
  readonly #request: UpstreamRequest;
  readonly #tell: (good: boolean, cause: string) => void;
  #attempt: Attempt | null = null;
  #told = false;
  #isFresh = false;
  /** It has a connection, or one is made for it. */
  #began = false;

  constructor({ health, transport, request, deadlineMs }: CheckParts, tell: (good: boolean, cause: string) => void) {
    this.#health = health;
    this.#transport = transport;
    this.#request = request;
    this.deadlineMs = deadlineMs;
    this.#tell = tell;
  }

  send(fresh: boolean): void {
    this.#isFresh = fresh;
    this.#attempt = null;
    const attempt = this.#transport.send(this.#request, this, fresh);
    // A failure may have been told, and even another attempt begun, before send returned.
    if (!this.over && this.#attempt === null) this.#attempt = attempt;
  }

  /** Its time is over. What of the answer is still coming is not wanted; where requests had all connections, the provider was not asked. */
  expire(cause: string): void {
    this.cancel();
    if (this.#began) this.#verdict(false, cause);
  }

  cancel(): void {
    this.over = true;
    this.#attempt?.cancel();
    this.#attempt = null;
  }

  #verdict(good: boolean, cause: string): void {
    if (this.#told) return;
    this.#told = true;
    this.#tell(good, cause);
  }

  onConnecting(): void {
    this.#began = true;
  }

  onSent(): void {
    this.#began = true;
  }

  onHead({ status }: ResponseHead): void {
    const { from, to } = this.#health.status;
    this.#verdict(status >= from && status <= to, `status ${status}`);
  }

  onChunk(): void {}

  onEnd(): void {
    this.over = true;
  }

  onFail(error: ErrorRow, replayable: boolean, cause = ""): void {
    if (replayable && !this.#isFresh) {
      this.send(true);
      return;
    }
    this.over = true;
    if (!OURS.has(error)) this.#verdict(false, cause === "" ? error.code : cause);
  }
}

interface CheckParts {
  readonly health: HealthCheck;
  readonly transport: Transport;
  readonly request: UpstreamRequest;
  readonly deadlineMs: number;
}

export interface HealthChecksParts {
  readonly transportOf: (provider: Provider) => Transport | undefined;
  readonly chance: () => number;
  readonly tell: (change: HealthChange) => void;
}

export class HealthChecks {
  readonly #parts: HealthChecksParts;
  #providers: readonly Provider[] = [];
  #running: Check[] = [];

  constructor(parts: HealthChecksParts) {
    this.#parts = parts;
  }

  /** Of a new configuration; checks that run go on. */
  configure(providers: Iterable<Provider>): void {
    this.#providers = [...providers].filter(({ health }) => health !== null);
  }

  sweep(nowMs: number, wallMs: number): void {
    for (const check of this.#running) if (!check.over && nowMs >= check.deadlineMs) check.expire("no answer in time");
    this.#running = this.#running.filter(({ over }) => !over);
    for (const provider of this.#providers) {
      if (this.#running.length >= HEALTH_CHECKS_MAX) return;
      this.#look(provider, nowMs, wallMs);
    }
  }

  /** Ends those that run, without a verdict, and begins no others. */
  stop(): void {
    for (const check of this.#running) check.cancel();
    this.#running = [];
    this.#providers = [];
  }

  #look(provider: Provider, nowMs: number, wallMs: number): void {
    const { health } = provider;
    const transport = this.#parts.transportOf(provider);
    if (health === null || transport === undefined || !claimCheck(health, wallMs, this.#parts.chance())) return;
    const request = requestOf(provider, health, wallMs);
    const check = new Check({ health, transport, request, deadlineMs: nowMs + health.timeoutMs }, (good, cause) =>
      this.#judge(provider, health, good, cause),
    );
    this.#running.push(check);
    check.send(false);
  }

  #judge({ name }: Provider, health: HealthCheck, good: boolean, cause: string): void {
    if (judge(health, good)) this.#parts.tell({ provider: name, healthy: good, cause });
  }
}

function requestOf({ lines, rotation }: Provider, { path }: HealthCheck, wallMs: number): UpstreamRequest {
  const own = rotation === null ? lines : freeCredential(rotation, wallMs).lines;
  return { method: "GET", path, lines: `${own}${EXTRA_LINES}`, body: null, bodyReady: 0 };
}
