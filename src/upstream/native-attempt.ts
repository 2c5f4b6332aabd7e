/** One attempt over the native transport. Gateway worker. The pipeline's Attempt, and what its connection tells. */
import { assert } from "../base/assert.ts";
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import { CAUSE_PROTOCOL } from "../native/upstream.ts";
import type { NativeConnection } from "./native-connection.ts";
import type { Origin, PooledAttempt } from "./origin.ts";
import { requestHead } from "./request-head.ts";
import type { AttemptListener, ResponseHead, UpstreamRequest } from "./transport.ts";

export class NativeAttempt implements PooledAttempt<NativeConnection> {
  /** Of the request, whole. */
  readonly head: string;
  readonly body: Uint8Array | null;
  readonly isHead: boolean;
  /** How many of the first bytes of the body are there. */
  bodyReady: number;
  readonly #bodyBytes: number;
  readonly #listener: AttemptListener;
  readonly #origin: Origin<NativeConnection>;
  #connection: NativeConnection | null = null;
  #headSeen = false;
  #over = false;

  constructor(request: UpstreamRequest, listener: AttemptListener, origin: Origin<NativeConnection>, hostLine: string) {
    this.head = requestHead(request, hostLine);
    this.body = request.body;
    this.bodyReady = request.bodyReady;
    this.#bodyBytes = request.body?.length ?? 0;
    this.isHead = request.method === "HEAD";
    this.#listener = listener;
    this.#origin = origin;
  }

  begin(connection: NativeConnection): void {
    this.#connection = connection;
    if (!connection.connected) this.#listener.onConnecting();
    connection.carry(this);
  }

  refuse(error: ErrorRow): void {
    this.#over = true;
    this.#listener.onFail(error, false);
  }

  release(bodyReady: number): void {
    assert(bodyReady >= this.bodyReady && bodyReady <= this.#bodyBytes, "a body grows, up to its length");
    this.bodyReady = bodyReady;
    this.#connection?.release(bodyReady);
  }

  pause(): void {
    this.#connection?.pause(true);
  }

  resume(): void {
    this.#connection?.pause(false);
  }

  cancel(): void {
    if (this.#over) return;
    const connection = this.#connection;
    this.#finish();
    if (connection === null) this.#origin.leaveQueue(this);
    else this.#origin.discard(connection);
  }

  onSent(): void {
    this.#listener.onSent();
  }

  onHead(head: ResponseHead): void {
    this.#headSeen = true;
    this.#listener.onHead(head);
  }

  onBody(bytes: Buffer, isLast: boolean): void {
    this.#listener.onChunk(bytes, isLast);
  }

  onEnd(): void {
    this.#finish();
    this.#listener.onEnd();
  }

  onFail(error: ErrorRow, replayable: boolean, cause: string): void {
    this.#finish();
    this.#listener.onFail(error, replayable, cause);
  }

  /** `unseen`: a reused connection ended before any byte of an answer. */
  onBroken(kind: number, cause: string, unseen: boolean): void {
    const before = kind === CAUSE_PROTOCOL ? ERRORS.upstreamProtocol : ERRORS.upstreamReset;
    this.onFail(this.#headSeen ? ERRORS.upstreamCut : before, unseen && kind !== CAUSE_PROTOCOL, cause);
  }

  onStale(): void {
    this.onFail(ERRORS.upstreamReset, true, "the connection had been closed");
  }

  #finish(): void {
    this.#over = true;
    this.#connection = null;
  }
}
