/**
 * The Transport contract: one attempt upstream. Gateway worker, main thread. A transport never decides about retries of a
 * request that reached the provider, never waits for the client and never parses a body.
 */
import type { ErrorRow } from "../base/errors.ts";

export interface UpstreamRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Flat list name, value; without framing headers and host. */
  readonly headers: string[];
  /** Sent by reference: not touched until the response head arrived or the attempt failed. */
  readonly body: Uint8Array | null;
}

/** Response headers by lower-case name; several of one name are an array. */
export type ResponseHeaders = Record<string, string | string[] | undefined>;

/** What an attempt tells. After onEnd, onFail or cancel() nothing more is called. */
export interface AttemptListener {
  /** The request has a connection and is being written. */
  onSent(): void;
  onHead(status: number, headers: ResponseHeaders): void;
  /** The chunk is the listener's to keep. May still come, bounded by a socket read, after pause(). */
  onChunk(chunk: Buffer): void;
  /** The framing says that the body is complete; a close-delimited body may have been cut all the same. */
  onEnd(): void;
  /** `replayable`: a reused connection broke before any byte of an answer. `cause`: for the operator, never for a client. */
  onFail(error: ErrorRow, replayable: boolean, cause?: string): void;
}

export interface Attempt {
  /** It waits for a connection to become free. */
  readonly queued: boolean;
  pause(): void;
  resume(): void;
  /** Ends the attempt and its connection; the listener hears nothing more. */
  cancel(): void;
}

export interface Transport {
  /** Begins an attempt; `fresh`: on a new connection. A failure is told to the listener, also at once. */
  send(request: UpstreamRequest, listener: AttemptListener, fresh: boolean): Attempt;
}
