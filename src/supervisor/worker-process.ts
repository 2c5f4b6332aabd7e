/**
 * One gateway worker as the supervisor sees it: a forked child, the messages to it and from it, and its end. What must
 * stay true: a worker that has not said that it listens is sent one `configure` and nothing else.
 */
import { type ChildProcess, fork } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { nowMs } from "../base/clock.ts";
import { UWS_HEADER_BYTES_MAX } from "../base/limits.ts";
import { PROGRAM } from "../base/program.ts";
import type { ExplainQuestion, Explanation } from "../config/explanation.ts";
import type { FromWorker, ToWorker } from "../config/messages.ts";
import type { Config } from "../config/schema.ts";
import type { LeftWorker } from "./handover.ts";
import { preferAsVictim } from "./oom-score.ts";

/**
 * A young generation of twice 8 MB from the beginning: what a request allocates, 7 KB, dies before it is copied. With 16 MB a worker
 * has 15 MB more, and collections cost 2 us of a request instead of 3 (1,000 connections); with 4 MB what is in flight outlives
 * two collections, which cost 6 us, and the old generation grows by what was saved.
 *
 * V8 puts at most so many bytes of bytecode of other functions into one that it compiles, 920 by default: what is left out is called.
 * Where the sum is reached it is chance what that is. With this one, instead of 3000, processes take 0.45 us less of a request's 14.45 in the
 * mean; they still differ by up to 1 us.
 */
const WORKER_FLAGS = [
  ...["--disable-warning=ExperimentalWarning", "--min-semi-space-size=8", "--max-semi-space-size=8"],
  "--max-inlined-bytecode-size-cumulative=10000",
];
const WORKER_FILE = fileURLToPath(new URL("../gateway/worker.ts", import.meta.url));

/** A configuration with its number, the demo providers' URL filled in. */
export interface Configured {
  readonly epoch: number;
  readonly config: Config;
}

/** A provider fails. */
export type ProviderTrouble = Extract<FromWorker, { type: "trouble" }>;

/** A breaker opened or closed. */
export type BreakerTurn = Extract<FromWorker, { type: "breaker" }>;

/** A provider is unhealthy, or healthy again. */
export type HealthTurn = Extract<FromWorker, { type: "health" }>;

/** A credential is refused, or taken again. */
export type CredentialTurn = Extract<FromWorker, { type: "credential" }>;

/** Connections to a worker are refused. */
export type RefusedConnections = Extract<FromWorker, { type: "refused" }>;

/** A threshold of a budget was reached. */
export type ReachedBudget = Extract<FromWorker, { type: "budget" }>;

/** Anything that changed with this worker; `ended` comes once and last. */
export interface WorkerEvents {
  listening(worker: WorkerProcess): void;
  configured(worker: WorkerProcess): void;
  failed(worker: WorkerProcess, code: string, message: string): void;
  trouble(worker: WorkerProcess, trouble: ProviderTrouble): void;
  breaker(worker: WorkerProcess, turn: BreakerTurn): void;
  health(worker: WorkerProcess, turn: HealthTurn): void;
  credential(worker: WorkerProcess, turn: CredentialTurn): void;
  refused(worker: WorkerProcess, refused: RefusedConnections): void;
  budget(worker: WorkerProcess, reached: ReachedBudget): void;
  ended(worker: WorkerProcess, how: string): void;
}

/** What a runtime reads. Credentials are in the environment too, and reach a worker by its configuration only. */
const RUNTIME_VARIABLE = /^(?:PATH|HOME|TMPDIR|TZ|LANG|LC_\w+|NODE_\w+|UV_\w+|SSL_CERT_(?:FILE|DIR)|MALLOC_\w+)$/;

export function runtimeEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => RUNTIME_VARIABLE.test(name)));
}

/**
 * Starts the program of a worker. Its standard output goes to standard error, which belongs to the log; the memory file
 * `histograms` becomes its descriptor HISTOGRAMS_DESCRIPTOR, the unix sockets those from UNIX_DESCRIPTOR_FIRST on.
 */
export function forkWorker(histograms: number, unixSockets: readonly number[] = []): ChildProcess {
  const child = fork(WORKER_FILE, [], {
    serialization: "advanced",
    execArgv: WORKER_FLAGS,
    env: { ...runtimeEnv(process.env), UWS_HTTP_MAX_HEADERS_SIZE: String(UWS_HEADER_BYTES_MAX) },
    stdio: ["ignore", 2, 2, "ipc", histograms, ...unixSockets],
  });
  if (child.pid !== undefined) preferAsVictim(child.pid);
  return child;
}

/** The descriptor of a child's IPC channel; null: it is closed. */
export function channelOf({ channel }: ChildProcess): number | null {
  const { fd = -1 } = (channel ?? {}) as { readonly fd?: number };
  return fd < 0 ? null : fd;
}

export class WorkerProcess {
  readonly place: number;
  /** Since when it serves, by the monotonic clock; null: not yet. */
  listeningSinceMs: number | null = null;
  /** Why an earlier ring file was put aside; null: it was not. */
  notice: string | null = null;
  /** Its ring and counters; null: not known yet. */
  slot: number | null = null;
  /** The newest configuration that it confirmed; 0: none. */
  epoch = 0;
  readonly #child: ChildProcess;
  readonly #events: WorkerEvents;
  /** Who waits for an explanation, by the number of the question. */
  readonly #asking = new Map<number, (explanation: Explanation | null) => void>();
  #asked = 0;
  #ended = false;

  constructor(place: number, child: ChildProcess, events: WorkerEvents) {
    this.place = place;
    this.#child = child;
    this.#events = events;
    child.on("message", (message) => this.#take(message as FromWorker));
    // "exit" follows, unless it could not even be spawned.
    child.on("error", (error) => child.pid === undefined && this.#end(error.message));
    child.on("exit", (code, signal) => this.#end(signal ?? `exit code ${code}`));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  configure({ epoch, config }: Configured): void {
    this.#send({ type: "configure", epoch, config, program: PROGRAM });
  }

  drain(deadlineMs: number): void {
    this.#send({ type: "drain", deadlineMs });
  }

  /** Null: it has ended. */
  explain(question: ExplainQuestion): Promise<Explanation | null> {
    this.#asked += 1;
    const id = this.#asked;
    const { promise, resolve } = Promise.withResolvers<Explanation | null>();
    if (this.#ended) resolve(null);
    else this.#asking.set(id, resolve);
    this.#send({ type: "explain", id, question });
    return promise;
  }

  /** Tells it that its supervisor is replaced; null: it is just ending. */
  async leave(): Promise<LeftWorker | null> {
    const { slot } = this;
    const channel = channelOf(this.#child);
    if (slot === null || channel === null) return null;
    const told = await new Promise<boolean>((resolve) =>
      this.#child.send({ type: "leave" } satisfies ToWorker, (error) => resolve(error === null)),
    );
    return told ? { pid: this.pid, slot, channel } : null;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** A worker that is just ending takes no message; its end is told separately. */
  #send(message: ToWorker): void {
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  #take(message: FromWorker): void {
    if (message.type === "failed") {
      this.#events.failed(this, message.code, message.message);
      return;
    }
    if (message.type === "trouble") {
      this.#events.trouble(this, message);
      return;
    }
    if (message.type === "breaker") {
      this.#events.breaker(this, message);
      return;
    }
    if (message.type === "health") {
      this.#events.health(this, message);
      return;
    }
    if (message.type === "credential") {
      this.#events.credential(this, message);
      return;
    }
    if (message.type === "refused") {
      this.#events.refused(this, message);
      return;
    }
    if (message.type === "budget") {
      this.#events.budget(this, message);
      return;
    }
    if (message.type === "explained") {
      this.#asking.get(message.id)?.(message.explanation);
      this.#asking.delete(message.id);
      return;
    }
    this.epoch = message.epoch;
    if (message.type === "configured") {
      this.#events.configured(this);
      return;
    }
    this.slot = message.slot;
    this.notice = message.notice;
    this.listeningSinceMs = nowMs();
    this.#events.listening(this);
  }

  #end(how: string): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const resolve of this.#asking.values()) resolve(null);
    this.#events.ended(this, how);
  }
}
