/**
 * The client's side of one exchange over uWebSockets.js: implements Downstream. Gateway worker, main thread.
 *
 * Chunks are framed here and not by the package, which ends a chunk in front of the next one: clients that wait for its line break
 * would see each event when the next one comes. So an answer in chunks is its head, its frames and its end as bytes for `tryEnd`.
 *
 * The rules of the package that are sealed in here, each measured:
 * - one cork callback never writes more than CORK_BYTES_MAX: beyond its 16 KB buffer bytes are lost to a slow reader. Not so of a
 *   `tryEnd`, which goes to the socket from where it is, behind what is in the buffer, and says how much was taken;
 * - `onWritable` is registered before the first write of a streaming answer, and always corks;
 * - what `tryEnd` did not take goes on at getWriteOffset();
 * - nothing touches `res` after it ended or was aborted.
 */
import { assert } from "../base/assert.ts";
import type { LimitStanding } from "../base/limit-terms.ts";
import { CORK_BYTES_MAX, LIMIT_LINES_BYTES_MAX, LINGER_BYTES_MAX, UNREAD_BODY_BYTES_MAX } from "../base/limits.ts";
import { native } from "../native/native.ts";
import { type Downstream, type Exchange, NO_BYTES, type RequestHandler } from "../pipeline/exchange.ts";
import { chunkFrame, dateHeader, headBytes } from "./frames.ts";
import type { UwsResponse } from "./uws.ts";

/** Shared by all streams without one: never written to. */
const NO_BACKLOG: Uint8Array[] = [];
/** The parser closes idle connections after 10 s: clients that know stop using theirs before. */
export const KEEP_ALIVE = "\r\nkeep-alive: timeout=8";
const CLOSE = "\r\nconnection: close";
const LINE_BREAK_BYTES = 2;
const HEAD_END = Buffer.from("\r\n\r\n");
/** Of an answer whose end is not known yet. */
const OPEN_END = Number.MAX_SAFE_INTEGER;

/** The stream that a cork callback writes for: corks run at once, so callbacks need no closure. */
let writing: ClientStream;

const writeSlice = (): void => writing.writeCorked();
const writeReply = (): void => writing.replyCorked();
const writeEnd = (): void => writing.endCorked();
const writeEarly = (): void => writing.earlyCorked();

export class ClientStream implements Downstream {
  closed = false;
  blocked = false;
  /** Answered early: what still comes of the request's body goes to discard(). */
  lingering = false;
  #lingeredBytes = 0;
  readonly #response: UwsResponse;
  readonly #handler: RequestHandler;
  #exchange: Exchange | null = null;
  #address: Uint8Array = NO_BYTES;
  #head = "";
  #headSent = true;
  /** Of the body; -1: chunked. */
  #length = -1;
  /** What `tryEnd` has taken: of the body, or of an answer in chunks with its head. */
  #sentBytes = 0;
  /** Of an answer in chunks with its head, so far. */
  #framedBytes = 0;
  /** What the reader has not taken yet, in order: copies, because a chunk is the writer's again after write(). */
  #backlog: Uint8Array[] = NO_BACKLOG;
  #ending = false;
  /** What the next cork callback writes. */
  #slice: Uint8Array | string = NO_BYTES;
  #accepted = true;
  readonly #takeFraming: typeof native.takeFraming;

  constructor(response: UwsResponse, handler: RequestHandler, takeFraming = native.takeFraming) {
    this.#response = response;
    this.#handler = handler;
    this.#takeFraming = takeFraming;
  }

  /** Once, before anything else. `address`: of the client, if it is not the connection's own. */
  attach(exchange: Exchange, address: Uint8Array | null = null): void {
    this.#exchange = exchange;
    this.#response.onAborted(() => this.#onAborted());
    // A copy: the package shows a buffer of its own, and nothing once the client is gone. A system call, so only if wanted.
    if (exchange.snapshot.readAddress)
      this.#address = address ?? new Uint8Array(this.#response.getRemoteAddress()).slice();
  }

  address(): Uint8Array {
    return this.#address;
  }

  reply(head: string, body: string): void {
    if (this.closed) return;
    this.#head = head;
    if (this.#linger()) this.#replyEarly(body);
    else if (this.#isHead()) this.#replyHead(Buffer.byteLength(body));
    else this.#replyWhole(body);
  }

  /** The length of a body that is not sent: behind a HEAD, its bytes would be read as the next answer. */
  #replyHead(length: number): void {
    this.begin(this.#head, length);
    this.end(NO_BYTES);
  }

  /** The rest of a small body is dropped in passing; of a larger or unknown one, in a linger of our own. */
  #linger(): boolean {
    const exchange = this.#exchange;
    if (exchange === null || !exchange.bodyPending) return false;
    return exchange.contentLength < 0 || exchange.contentLength > UNREAD_BODY_BYTES_MAX;
  }

  /**
   * Answers while the body is still coming. Closing now would reset the connection under the answer, so the client gets all
   * of it, reads that we close, and what it still sends is dropped up to a bound (as nginx's lingering_close does). `end`
   * would hand the connection back to the parser with no way to bound that, so the answer goes out as one raw head.
   */
  #replyEarly(body: string): void {
    this.lingering = true;
    // writeStatus ends with a line break of its own: as white space behind the JSON it belongs to the body.
    const bytes = Buffer.from(body);
    const head = `${this.#head}${CLOSE}\r\ncontent-length: ${bytes.length + LINE_BREAK_BYTES}`;
    this.#slice = Buffer.concat([headBytes(head, this.#standing()), HEAD_END, bytes]);
    writing = this;
    this.#response.cork(writeEarly);
  }

  /** In a cork. */
  earlyCorked(): void {
    this.#response.writeStatus(this.#slice);
  }

  /** Bytes of a body that nobody wants. */
  discard(bytes: number, isLast: boolean): void {
    if (this.closed) return;
    this.#lingeredBytes += bytes;
    // The parser holds a cork while it reads, and what is in it is lost with the connection: the answer may be.
    if (isLast || this.#lingeredBytes > LINGER_BYTES_MAX) setImmediate(() => this.#endLinger());
  }

  #endLinger(): void {
    if (this.closed) return;
    this.cut();
    if (this.#exchange !== null) this.#handler.onFlushed(this.#exchange);
  }

  begin(head: string, length: number): void {
    this.#head = head;
    this.#length = length;
    this.#headSent = false;
  }

  write(chunk: Uint8Array): void {
    if (this.closed || chunk.length === 0) return;
    if (this.#length < 0) this.#writeFrame(chunk, false);
    else if (this.blocked) this.#keep(chunk);
    else this.#writeSized(chunk);
  }

  /** Of an answer of known length. */
  #writeSized(chunk: Uint8Array): void {
    if (!this.#headSent && chunk.length === this.#length && chunk.length <= this.#corkRoom()) {
      this.#replyWhole(chunk);
      return;
    }
    if (!this.#headSent) this.#startStreaming();
    // A head that leaves a slice no room has a cork of its own.
    if (this.#head.length > CORK_BYTES_MAX / 2) this.#send(NO_BYTES);
    if (this.blocked) this.#keep(chunk);
    else this.#send(chunk);
  }

  /** Of an answer in chunks; `isLast`: and its end. */
  #writeFrame(chunk: Uint8Array, isLast: boolean): void {
    const frame = chunkFrame(this.#headSent ? "" : this.#startFraming(), this.#standing(), chunk, isLast);
    this.#framedBytes += frame.length;
    if (isLast) this.#ending = true;
    if (this.blocked) this.#keep(frame);
    else this.#send(frame);
  }

  /** An answer of which nothing is sent yet then has a length, if it fits a cork. */
  end(last: Uint8Array): void {
    if (this.closed) return;
    const begins = !this.#headSent && last.length <= this.#corkRoom();
    if (this.#length >= 0) this.#endSized(last);
    else if (!begins) this.#writeFrame(last, true);
    else if (last.length > 0) this.#replyWhole(last);
    else this.#writeEnd();
  }

  #endSized(last: Uint8Array): void {
    this.write(last);
    if (this.closed) return;
    this.#ending = true;
    if (this.blocked) return;
    assert(!this.#headSent, "an answer of known length ends with its last byte");
    this.#writeEnd();
  }

  cut(): void {
    if (this.closed) return;
    this.closed = true;
    this.#backlog = NO_BACKLOG;
    this.#response.close();
  }

  /** For a body in one cork with its head. */
  #corkRoom(): number {
    return CORK_BYTES_MAX - this.#head.length - (this.#standing() === null ? 0 : LIMIT_LINES_BYTES_MAX);
  }

  /** What the head says of limits besides. */
  #standing(): LimitStanding | null {
    return this.#exchange === null ? null : this.#exchange.standing;
  }

  #isHead(): boolean {
    return this.#exchange?.method === "HEAD";
  }

  #closing(): boolean {
    return this.#exchange?.closing === true;
  }

  /** The lines of a streaming head; `end(body, true)` writes its own for a whole answer, unless the client closes itself. */
  #connectionLine(whole: boolean): string {
    if (!this.#closing()) return KEEP_ALIVE;
    return whole && this.#exchange?.clientCloses !== true ? "" : CLOSE;
  }

  #writeHead(connectionLine: string): void {
    const head = this.#head + connectionLine;
    this.#headSent = true;
    this.#head = "";
    this.#response.writeStatus(headBytes(head, this.#standing()));
  }

  #replyWhole(body: Uint8Array | string): void {
    this.#slice = body;
    writing = this;
    this.#response.cork(writeReply);
    this.#finish();
  }

  /** In a cork. */
  replyCorked(): void {
    this.#writeHead(this.#connectionLine(true));
    this.#response.end(this.#slice, this.#closing());
  }

  #startStreaming(): void {
    this.#response.onWritable(() => this.#onWritable());
  }

  /** Of an answer in chunks: its head. */
  #startFraming(): string {
    const framing = `${dateHeader(Date.now())}transfer-encoding: chunked${this.#connectionLine(false)}`;
    const head = `HTTP/1.1 ${this.#head}\r\n${framing}`;
    this.#takeFraming(this.#response, this.#closing());
    this.#headSent = true;
    this.#head = "";
    this.#startStreaming();
    return head;
  }

  /** In front of what is kept: the rest of a slice that was taken in part. */
  #keepFirst(rest: Uint8Array): void {
    if (this.#backlog === NO_BACKLOG) this.#backlog = [];
    this.#backlog.unshift(Buffer.from(rest));
  }

  #keep(chunk: Uint8Array): void {
    if (this.#backlog === NO_BACKLOG) this.#backlog = [];
    this.#backlog.push(Buffer.from(chunk));
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
    if (!this.#headSent) this.#writeHead(this.#connectionLine(false));
    const slice = this.#slice;
    if (slice.length > 0 && typeof slice !== "string") this.#tryEnd(slice);
  }

  /** What `tryEnd` is to take in all. */
  #totalBytes(): number {
    if (this.#length >= 0) return this.#length;
    return this.#ending ? this.#framedBytes : OPEN_END;
  }

  #tryEnd(slice: Uint8Array): void {
    const result = this.#response.tryEnd(slice, this.#totalBytes());
    if (result[1]) {
      this.#finish();
      return;
    }
    this.#accepted = result[0];
    const taken = this.#accepted ? slice.length : this.#response.getWriteOffset() - this.#sentBytes;
    this.#sentBytes += taken;
    if (taken < slice.length) this.#keepFirst(slice.subarray(taken));
  }

  /** The reader caught up: the next bytes or nothing, in a cork, as the package demands. */
  #onWritable(): boolean {
    if (this.closed) return true;
    this.blocked = false;
    do this.#send(this.#backlog.shift() ?? NO_BYTES);
    while (!this.blocked && !this.closed && this.#backlog.length > 0);
    if (!this.blocked && !this.closed) this.#onCaughtUp();
    return true;
  }

  #onCaughtUp(): void {
    if (this.#ending) this.#writeEnd();
    else if (this.#exchange !== null) this.#handler.onCaughtUp(this.#exchange);
  }

  #writeEnd(): void {
    writing = this;
    this.#response.cork(writeEnd);
    this.#finish();
  }

  /** In a cork. */
  endCorked(): void {
    if (this.#bodyless()) {
      // endWithoutBody(length) leaves the answer unfinished, and an undefined length is written as 2^63 (measured).
      this.#writeHead(this.#connectionLine(false) + (this.#length > 0 ? `\r\ncontent-length: ${this.#length}` : ""));
      this.#response.endWithoutBody();
    } else {
      this.#writeHead(this.#connectionLine(true));
      this.#response.end(undefined, this.#closing());
    }
  }

  /** Answers without a body by definition (RFC 9110 6.4.1). */
  #bodyless(): boolean {
    return this.#isHead() || this.#head.startsWith("204") || this.#head.startsWith("304");
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
