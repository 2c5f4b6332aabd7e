/**
 * One attempt over undici: its dispatch handler and the Attempt that the pipeline holds are the same object. Gateway
 * worker. Callbacks of undici must not throw, and come late after an abort: `#over` seals the object.
 */
import { subscribe } from "node:diagnostics_channel";
import { type ClientHttp2Stream, constants } from "node:http2";
import { type Dispatcher, errors } from "undici";
import { assert } from "../base/assert.ts";
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import { headerList } from "../base/header-lines.ts";
import type { Origin, PooledAttempt } from "./origin.ts";
import { headOf, type ResponseHeaders } from "./response-headers.ts";
import type { AttemptListener, UpstreamRequest } from "./transport.ts";
import type { UndiciConnection } from "./undici-connection.ts";
import { failureOf } from "./undici-failure.ts";

type Controller = Dispatcher.DispatchController;

/** The reason of our own aborts: one object, because nobody reads its stack. */
const CANCELLED = new Error("cancelled");

/** Whose stream is made next: undici makes it right behind onRequestStart, and gives it to nobody. */
let starting: UndiciAttempt | null = null;

subscribe("http2.client.stream.created", (message) => {
  starting?.onStream((message as { readonly stream: ClientHttp2Stream }).stream);
  starting = null;
});

export class UndiciAttempt implements PooledAttempt<UndiciConnection> {
  readonly #request: UpstreamRequest;
  readonly #listener: AttemptListener;
  readonly #origin: Origin<UndiciConnection>;
  #connection: UndiciConnection | null = null;
  #controller: Controller | null = null;
  /** Over HTTP/2, from when it is sent. */
  #stream: ClientHttp2Stream | null = null;
  /** The socket had served a request before this one. */
  #reused = false;
  /** A byte of an answer was seen. */
  #answered = false;
  #headSeen = false;
  #over = false;

  constructor(request: UpstreamRequest, listener: AttemptListener, origin: Origin<UndiciConnection>) {
    this.#request = request;
    this.#listener = listener;
    this.#origin = origin;
    this.release(request.bodyReady);
  }

  /** Called by Origin with a connection that is now this attempt's. */
  begin(connection: UndiciConnection): void {
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

  release(bodyReady: number): void {
    assert(bodyReady === (this.#request.body?.length ?? 0), "a body is whole");
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
    // Of a connection that carries others, too, nobody knows that it was stale.
    this.#reused = connection.requests > 0 && connection.attempts === 1;
    connection.requests += 1;
    starting = connection.multiplexed ? this : null;
    this.#listener.onSent();
  }

  onStream(stream: ClientHttp2Stream): void {
    this.#stream = stream;
  }

  onResponseStarted(): void {
    this.#answered = true;
  }

  onResponseStart(_controller: Controller, status: number, headers: ResponseHeaders): void {
    // 1xx are for us; the next head follows.
    if (this.#over || status < 200) return;
    this.#headSeen = true;
    this.#listener.onHead(headOf(status, headers, this.#connection?.multiplexed));
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    if (!this.#over) this.#listener.onChunk(chunk, false);
  }

  onResponseEnd(): void {
    if (this.#over) return;
    this.#over = true;
    // First free, then told: what the listener starts now finds a warm connection.
    if (this.#connection?.multiplexed === false && this.#connection.behind) this.#drop();
    else this.#giveBack();
    this.#listener.onEnd();
  }

  onResponseError(_controller: Controller | null, error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    const begun = this.#controller !== null;
    // undici also tells a request that still waits for its turn on a warm connection that this broke.
    const warm = this.#connection?.connected === true;
    const row = this.#failure(error, begun || warm);
    const stale = begun ? this.#reused && !this.#answered && !isReset(error) : warm && row === ERRORS.upstreamReset;
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
    // undici waits for the end of a body before it resets a stream, and destroys it, so that nothing is ever sent.
    this.#stream?.close(constants.NGHTTP2_CANCEL);
    this.#controller?.abort(CANCELLED);
    if (connection === null) return;
    // A stream ends alone; what ends its connection is told by the connection.
    if (connection.multiplexed) this.#origin.release(connection);
    else this.#origin.discard(connection);
  }
}

/** The provider ended one stream of a connection that goes on. */
function isReset(error: unknown): boolean {
  return error instanceof errors.InformationalError;
}
