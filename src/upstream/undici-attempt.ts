/**
 * One attempt over undici: its dispatch handler and the Attempt that the pipeline holds are the same object. Gateway
 * worker. Callbacks of undici must not throw, and come late after an abort: `#over` seals the object.
 */
import type { Dispatcher } from "undici";
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import { headerList } from "../base/header-lines.ts";
import type { Connection } from "./connection.ts";
import { failureOf } from "./failure.ts";
import type { Origin } from "./origin.ts";
import { headOf, type ResponseHeaders } from "./response-headers.ts";
import type { Attempt, AttemptListener, UpstreamRequest } from "./transport.ts";

type Controller = Dispatcher.DispatchController;

/** The reason of our own aborts: one object, because nobody reads its stack. */
const CANCELLED = new Error("cancelled");

export class UndiciAttempt implements Attempt {
  readonly #request: UpstreamRequest;
  readonly #listener: AttemptListener;
  readonly #origin: Origin;
  #connection: Connection | null = null;
  #controller: Controller | null = null;
  /** The socket had served a request before this one. */
  #reused = false;
  /** A byte of an answer was seen. */
  #answered = false;
  #headSeen = false;
  #over = false;

  constructor(request: UpstreamRequest, listener: AttemptListener, origin: Origin) {
    this.#request = request;
    this.#listener = listener;
    this.#origin = origin;
  }

  /** Called by Origin with a connection that is now this attempt's. */
  begin(connection: Connection): void {
    this.#connection = connection;
    if (!connection.connected) this.#listener.onConnecting();
    const { method, path, lines, body } = this.#request;
    const headers = headerList(lines);
    connection.client.dispatch({ method: method as Dispatcher.HttpMethod, path, headers, body }, this);
  }

  /** Called by Origin instead of begin(). */
  refuse(error: ErrorRow): void {
    this.#over = true;
    this.#listener.onFail(error, false);
  }

  pause(): void {
    this.#controller?.pause();
  }

  resume(): void {
    this.#controller?.resume();
  }

  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#connection === null) this.#origin.leaveQueue(this);
    else this.#drop();
  }

  onRequestStart(controller: Controller): void {
    if (this.#over) {
      controller.abort(CANCELLED);
      return;
    }
    this.#controller = controller;
    const connection = this.#connection;
    if (connection === null) return;
    this.#reused = connection.requests > 0;
    connection.requests += 1;
    this.#listener.onSent();
  }

  onResponseStarted(): void {
    this.#answered = true;
  }

  onResponseStart(_controller: Controller, status: number, headers: ResponseHeaders): void {
    // 1xx are for us; the next head follows.
    if (this.#over || status < 200) return;
    this.#headSeen = true;
    this.#listener.onHead(headOf(status, headers));
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    if (!this.#over) this.#listener.onChunk(chunk);
  }

  onResponseEnd(): void {
    if (this.#over) return;
    this.#over = true;
    // First free, then told: what the listener starts now finds a warm connection.
    this.#giveBack();
    this.#listener.onEnd();
  }

  onResponseError(_controller: Controller | null, error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    const begun = this.#controller !== null;
    // undici also tells a request that still waits for its turn on a warm connection that this broke.
    const warm = this.#connection?.connected === true;
    const row = this.#failure(error, begun || warm);
    const stale = begun ? this.#reused && !this.#answered : warm && row === ERRORS.upstreamReset;
    this.#drop();
    this.#listener.onFail(row, stale, error instanceof Error ? error.message : "");
  }

  #failure(error: unknown, connected: boolean): ErrorRow {
    return this.#headSeen ? ERRORS.upstreamCut : failureOf(error, connected);
  }

  #giveBack(): void {
    const connection = this.#connection;
    this.#connection = null;
    if (connection !== null) this.#origin.release(connection);
  }

  #drop(): void {
    const connection = this.#connection;
    this.#connection = null;
    this.#controller?.abort(CANCELLED);
    if (connection !== null) this.#origin.discard(connection);
  }
}
