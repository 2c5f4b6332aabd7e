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

const NO_BYTES = new Uint8Array(0);
/** Shared by all streams without one: never written to. */
const NO_BACKLOG: Uint8Array[] = [];
const ASCII = /^[\0-\x7f]*$/;

/** Streams whose head waits for first bytes; flushed in one microtask, so that a head never waits for long. */
const heads: ClientStream[] = [];

function flushHeads(): void {
  for (const stream of heads) stream.flushHead();
  heads.length = 0;
}

/** The stream that a cork callback writes for: corks run at once, so callbacks need no closure. */
let writing: ClientStream;

const writeSlice = (): void => writing.writeCorked();
const writeReply = (): void => writing.replyCorked();
const writeEnd = (): void => writing.endCorked();

export class ClientStream implements Downstream {
  closed = false;
  blocked = false;
  readonly #response: UwsResponse;
  readonly #handler: RequestHandler;
  #exchange: Exchange | null = null;
  #head = "";
  #headSent = true;
  /** Of the body; -1: chunked. */
  #length = -1;
  #sentBytes = 0;
  /** What the reader has not taken yet, in order. */
  #backlog: Uint8Array[] = NO_BACKLOG;
  #ending = false;
  /** The slice, or whole body, that the next cork callback writes. */
  #slice: Uint8Array | string = NO_BYTES;
  #accepted = true;

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
    return this.closed ? NO_BYTES : new Uint8Array(this.#response.getRemoteAddress());
  }

  reply(head: string, body: string): void {
    if (this.closed) return;
    this.#head = head;
    this.#replyWhole(body);
  }

  begin(head: string, length: number): void {
    this.#head = head;
    this.#length = length;
    this.#headSent = false;
    // A head with a length goes with its first bytes.
    if (this.closed || length >= 0) return;
    if (heads.length === 0) queueMicrotask(flushHeads);
    heads.push(this);
  }

  /** Sends a head that no bytes have followed in this turn. */
  flushHead(): void {
    if (this.closed || this.#headSent) return;
    this.#startStreaming();
    this.#send(NO_BYTES);
  }

  write(chunk: Uint8Array): void {
    if (this.closed || chunk.length === 0) return;
    if (this.blocked) {
      this.#keep(chunk);
      return;
    }
    if (!this.#headSent && chunk.length === this.#length && chunk.length <= CORK_BYTES_MAX - this.#head.length) {
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
    this.#backlog = NO_BACKLOG;
    this.#response.close();
  }

  #closing(): boolean {
    return this.#exchange?.closing === true;
  }

  /** Header values are latin1 (RFC 9110 5.5), and uWebSockets.js would write a string as UTF-8. */
  #writeHead(): void {
    this.#headSent = true;
    this.#response.writeStatus(ASCII.test(this.#head) ? this.#head : Buffer.from(this.#head, "latin1"));
    this.#head = "";
  }

  #replyWhole(body: Uint8Array | string): void {
    this.#slice = body;
    writing = this;
    this.#response.cork(writeReply);
    this.#finish();
  }

  /** In a cork. */
  replyCorked(): void {
    this.#writeHead();
    this.#response.end(this.#slice, this.#closing());
  }

  #startStreaming(): void {
    this.#response.onWritable(() => this.#onWritable());
  }

  #keep(chunk: Uint8Array): void {
    if (this.#backlog === NO_BACKLOG) this.#backlog = [];
    this.#backlog.push(chunk);
  }

  /** In slices that fit a cork; what the reader cannot take is kept. The head counts for its first slice. */
  #writeSlices(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length && !this.closed) {
      if (this.blocked) {
        this.#keep(chunk.subarray(at));
        return;
      }
      const end = at + CORK_BYTES_MAX - this.#head.length;
      this.#send(at === 0 && end >= chunk.length ? chunk : chunk.subarray(at, end));
      at = end;
    }
  }

  #send(slice: Uint8Array): void {
    this.#slice = slice;
    writing = this;
    this.#response.cork(writeSlice);
    if (!this.#accepted) this.blocked = true;
  }

  /** In a cork. */
  writeCorked(): void {
    this.#accepted = true;
    if (!this.#headSent) this.#writeHead();
    const slice = this.#slice;
    if (slice.length === 0 || typeof slice === "string") return;
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
    if (taken < slice.length) this.#backlog = [slice.subarray(taken), ...this.#backlog];
  }

  /** The reader caught up: the next bytes or nothing, in a cork, as the package demands. */
  #onWritable(): boolean {
    if (this.closed) return true;
    this.blocked = false;
    this.#send(this.#nextSlice());
    while (!this.blocked && !this.closed && this.#backlog.length > 0) this.#send(this.#nextSlice());
    if (!this.blocked && !this.closed) this.#onCaughtUp();
    return true;
  }

  #nextSlice(): Uint8Array {
    const chunk = this.#backlog.shift();
    if (chunk === undefined) return NO_BYTES;
    if (chunk.length > CORK_BYTES_MAX) this.#backlog.unshift(chunk.subarray(CORK_BYTES_MAX));
    return chunk.subarray(0, CORK_BYTES_MAX);
  }

  #onCaughtUp(): void {
    if (this.#ending) this.#writeEnd();
    else if (this.#exchange !== null) this.#handler.onDrained(this.#exchange);
  }

  #writeEnd(): void {
    writing = this;
    this.#response.cork(writeEnd);
    this.#finish();
  }

  /** In a cork. */
  endCorked(): void {
    const bodyless = this.#bodyless();
    if (!this.#headSent) this.#writeHead();
    if (!bodyless) this.#response.end(undefined, this.#closing());
    else if (this.#length > 0) this.#response.endWithoutBody(this.#length, this.#closing());
    else this.#response.endWithoutBody(undefined, this.#closing());
  }

  /** Answers without a body by definition (RFC 9110 6.4.1). */
  #bodyless(): boolean {
    return this.#exchange?.method === "HEAD" || this.#head.startsWith("204") || this.#head.startsWith("304");
  }

  #finish(): void {
    this.closed = true;
    this.blocked = false;
    this.#slice = NO_BYTES;
    if (this.#exchange !== null) this.#handler.onFlushed(this.#exchange);
  }

  #onAborted(): void {
    if (this.closed) return;
    this.closed = true;
    this.#backlog = NO_BACKLOG;
    if (this.#exchange !== null) this.#handler.onAborted(this.#exchange);
  }
}
