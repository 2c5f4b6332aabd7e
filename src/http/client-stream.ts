/**
 * The client's side of one exchange over uWebSockets.js: implements Downstream. Gateway worker, main thread.
 *
 * The rules of the package that are sealed in here, each measured:
 * - one cork callback never writes more than CORK_BYTES_MAX: beyond its 16 KB buffer bytes are lost to a slow reader;
 * - `onWritable` is registered before the first write of a streaming answer, and always corks;
 * - a `write` that returns false was taken all the same and is not repeated; `tryEnd` goes on at getWriteOffset();
 * - nothing touches `res` after it ended or was aborted.
 */
import { CORK_BYTES_MAX } from "../base/limits.ts";
import type { Downstream, Exchange, RequestHandler } from "../pipeline/exchange.ts";
import type { UwsResponse } from "./uws.ts";

const NO_ADDRESS = new Uint8Array(0);

/** Streams whose head waits for first bytes; flushed in one microtask, so that a head never waits for long. */
const heads: ClientStream[] = [];

function flushHeads(): void {
  for (const stream of heads) stream.flushHead();
  heads.length = 0;
}

export class ClientStream implements Downstream {
  closed = false;
  blocked = false;
  readonly #response: UwsResponse;
  readonly #handler: RequestHandler;
  #exchange: Exchange | null = null;
  #status = "";
  #headers: readonly string[] = [];
  #headSent = true;
  /** Of the body; -1: chunked. */
  #length = -1;
  #sentBytes = 0;
  /** What the reader has not taken yet, in order. */
  readonly #backlog: Uint8Array[] = [];
  #ending = false;
  /** The slice that the next cork callback writes. */
  #slice: Uint8Array = NO_ADDRESS;
  #accepted = true;
  readonly #writeSlice = (): void => this.#writeCorked();

  constructor(response: UwsResponse, handler: RequestHandler) {
    this.#response = response;
    this.#handler = handler;
  }

  /** Once, before anything else. */
  attach(exchange: Exchange): void {
    this.#exchange = exchange;
    this.#response.onAborted(() => this.#onAborted());
  }

  address(): Uint8Array {
    return this.closed ? NO_ADDRESS : new Uint8Array(this.#response.getRemoteAddress());
  }

  reply(status: string, headers: readonly string[], body: string): void {
    if (this.closed) return;
    this.#status = status;
    this.#headers = headers;
    this.#response.cork(() => {
      this.#writeHead();
      this.#response.end(body, this.#closing());
    });
    this.#finish();
  }

  begin(status: string, headers: readonly string[], length: number): void {
    this.#status = status;
    this.#headers = headers;
    this.#length = length;
    this.#headSent = false;
    if (this.closed) return;
    if (heads.length === 0) queueMicrotask(flushHeads);
    heads.push(this);
  }

  /** Sends a head that no bytes have followed in this turn. A head with a length goes with its first bytes. */
  flushHead(): void {
    if (this.closed || this.#headSent || this.#length >= 0) return;
    this.#startStreaming();
    this.#send(NO_ADDRESS);
  }

  write(chunk: Uint8Array): void {
    if (this.closed || chunk.length === 0) return;
    if (this.blocked) {
      this.#backlog.push(chunk);
      return;
    }
    if (!this.#headSent && chunk.length === this.#length && chunk.length <= CORK_BYTES_MAX) {
      this.#replyWhole(chunk);
      return;
    }
    if (!this.#headSent) this.#startStreaming();
    this.#writeSlices(chunk);
  }

  end(): void {
    if (this.closed) return;
    this.#ending = true;
    if (!this.blocked) this.#writeEnd();
  }

  cut(): void {
    if (this.closed) return;
    this.closed = true;
    this.#backlog.length = 0;
    this.#response.close();
  }

  #closing(): boolean {
    return this.#exchange?.closing === true;
  }

  #writeHead(): void {
    this.#headSent = true;
    this.#response.writeStatus(this.#status);
    for (let i = 0; i < this.#headers.length; i += 2) {
      this.#response.writeHeader(this.#headers[i] ?? "", this.#headers[i + 1] ?? "");
    }
  }

  #replyWhole(chunk: Uint8Array): void {
    this.#response.cork(() => {
      this.#writeHead();
      this.#response.end(chunk, this.#closing());
    });
    this.#finish();
  }

  #startStreaming(): void {
    this.#response.onWritable(() => this.#onWritable());
  }

  /** In slices that fit a cork; what the reader cannot take is kept. */
  #writeSlices(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length && !this.closed; at += CORK_BYTES_MAX) {
      if (this.blocked) {
        this.#backlog.push(chunk.subarray(at));
        return;
      }
      this.#send(chunk.subarray(at, at + CORK_BYTES_MAX));
    }
  }

  #send(slice: Uint8Array): void {
    this.#slice = slice;
    this.#response.cork(this.#writeSlice);
    if (!this.#accepted) this.blocked = true;
  }

  #writeCorked(): void {
    this.#accepted = true;
    if (!this.#headSent) this.#writeHead();
    const slice = this.#slice;
    if (slice.length === 0) return;
    if (this.#length < 0) this.#accepted = this.#response.write(slice);
    else this.#tryEnd(slice);
  }

  #tryEnd(slice: Uint8Array): void {
    const [accepted, done] = this.#response.tryEnd(slice, this.#length);
    if (done) {
      this.#finish();
      return;
    }
    const taken = this.#response.getWriteOffset() - this.#sentBytes;
    this.#sentBytes += taken;
    this.#accepted = accepted;
    if (taken < slice.length) this.#backlog.unshift(slice.subarray(taken));
  }

  /** The reader caught up: the next bytes or nothing, in a cork, as the package demands. */
  #onWritable(): boolean {
    if (this.closed) return true;
    this.blocked = false;
    this.#slice = this.#nextSlice();
    this.#response.cork(this.#writeSlice);
    if (!this.#accepted) this.blocked = true;
    while (!this.blocked && !this.closed && this.#backlog.length > 0) this.#send(this.#nextSlice());
    if (!this.blocked && !this.closed) this.#onCaughtUp();
    return true;
  }

  #nextSlice(): Uint8Array {
    const chunk = this.#backlog.shift();
    if (chunk === undefined) return NO_ADDRESS;
    if (chunk.length > CORK_BYTES_MAX) this.#backlog.unshift(chunk.subarray(CORK_BYTES_MAX));
    return chunk.subarray(0, CORK_BYTES_MAX);
  }

  #onCaughtUp(): void {
    if (this.#ending) this.#writeEnd();
    else if (this.#exchange !== null) this.#handler.onDrained(this.#exchange);
  }

  #writeEnd(): void {
    this.#response.cork(() => {
      if (!this.#headSent) this.#writeHead();
      if (this.#bodyless()) this.#endHead();
      else this.#response.end(undefined, this.#closing());
    });
    this.#finish();
  }

  /** Answers without a body by definition (RFC 9110 6.4.1). */
  #bodyless(): boolean {
    return this.#exchange?.method === "HEAD" || this.#status.startsWith("204") || this.#status.startsWith("304");
  }

  #endHead(): void {
    if (this.#length > 0) this.#response.endWithoutBody(this.#length, this.#closing());
    else this.#response.endWithoutBody(undefined, this.#closing());
  }

  #finish(): void {
    this.closed = true;
    this.blocked = false;
    if (this.#exchange !== null) this.#handler.onFlushed(this.#exchange);
  }

  #onAborted(): void {
    if (this.closed) return;
    this.closed = true;
    this.#backlog.length = 0;
    if (this.#exchange !== null) this.#handler.onAborted(this.#exchange);
  }
}
