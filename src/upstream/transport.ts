/**
 * The Transport contract: one attempt upstream. Gateway worker, main thread. A transport never decides about retries of a
 * request that reached the provider, never waits for the client, never parses a body and has no deadline of its own.
 */
import type { ErrorRow } from "../base/errors.ts";

export interface UpstreamRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** CRLF name: value for each header, checked, latin1; without framing headers and host. */
  readonly lines: string;
  /** Sent by reference: not touched until the response head arrived or the attempt failed. Of its final length, also while it grows. */
  readonly body: Uint8Array | null;
  /**
   * How many of the first bytes of the body are there, and may be sent: body.length, or 0 without one, but for a body that grows. That is
   * only for a transport which is `growing`, and release() tells of the rest.
   */
  bodyReady: number;
}

/** Of an answer, checked: no value can end its line. Made by response-headers.ts or by the addon's parser. */
export interface ResponseHead {
  readonly status: number;
  /** For the client: CRLF name: value for every header that passes, names in lower case, as latin1. */
  readonly lines: string;
  /** The next three as the provider sent them; empty: it did not. */
  readonly contentType: string;
  readonly contentEncoding: string;
  readonly upstreamRequestId: string;
  /** -1: none. */
  readonly contentLength: number;
  /** The body ends where the connection does: only its content tells whether it is complete. */
  readonly closeDelimited: boolean;
}

/** What an attempt tells. After onEnd, onFail or cancel() nothing more is called. */
export interface AttemptListener {
  /** A connection is made for it. Before that, and without it, the attempt waits for one to become free. */
  onConnecting(): void;
  /** The request has a connection and is being written: its head, and what there is of a body that grows, be it nothing. */
  onSent(): void;
  onHead(head: ResponseHead): void;
  /**
   * `isLast`: onEnd follows at once, and the chunk is valid until it returns; else during the call only. May still come, bounded by a
   * socket read, after pause().
   */
  onChunk(chunk: Buffer, isLast: boolean): void;
  /** The framing says that the body is complete; a close-delimited body may have been cut all the same. */
  onEnd(): void;
  /** `replayable`: a reused connection broke before any byte of an answer. `cause`: for the operator, never for a client. */
  onFail(error: ErrorRow, replayable: boolean, cause?: string): void;
}

export interface Attempt {
  /**
   * The first `bodyReady` bytes of the body are there now: no fewer than before. At any time, also before there is a connection and when
   * the attempt is over. What an answer leaves unsent when it ends is never sent, and its connection is closed; so it is by cancel(): the
   * provider never sees a request as complete that was not.
   */
  release(bodyReady: number): void;
  pause(): void;
  resume(): void;
  /** Ends the attempt and its connection; the listener hears nothing more. */
  cancel(): void;
}

export interface Transport {
  /** It sends a body that still grows. How much waits to be sent is what the socket did not take: nothing is copied. */
  readonly growing: boolean;
  /** Less than half of its connections are in use, and nobody waits for one. */
  readonly spare: boolean;
  /** Begins an attempt; `fresh`: on a new connection. A failure is told to the listener, also at once. */
  send(request: UpstreamRequest, listener: AttemptListener, fresh: boolean): Attempt;
}
