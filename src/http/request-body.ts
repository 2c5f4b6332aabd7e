/**
 * The request body, collected into one buffer with room for a splice behind it. Gateway worker, main thread. uWebSockets.js
 * takes a chunk back when its callback returns, so every chunk is copied, once.
 */

import { nowMs } from "../base/clock.ts";
import { CHUNKED_BODY_BYTES_INITIAL, SPLICE_ROOM_BYTES } from "../base/limits.ts";
import { type Exchange, PHASE_BODY, type RequestHandler } from "../pipeline/exchange.ts";
import type { ClientStream } from "./client-stream.ts";

export class RequestBody {
  readonly #exchange: Exchange;
  readonly #stream: ClientStream;
  readonly #handler: RequestHandler;
  #buffer: Buffer;
  #bytes = 0;

  constructor(exchange: Exchange, stream: ClientStream, handler: RequestHandler) {
    this.#exchange = exchange;
    this.#stream = stream;
    this.#handler = handler;
    const expected = exchange.contentLength < 0 ? 0 : exchange.contentLength;
    this.#buffer = Buffer.allocUnsafe(expected + SPLICE_ROOM_BYTES);
  }

  /** For `onData`; goes on being called after an early answer, for chunked bodies. */
  onData(chunk: ArrayBuffer, isLast: boolean): void {
    const exchange = this.#exchange;
    if (this.#stream.lingering) this.#stream.discard(chunk.byteLength, isLast);
    if (exchange.phase !== PHASE_BODY || this.#stream.closed) return;
    if (chunk.byteLength > 0 && !this.#append(new Uint8Array(chunk))) return;
    if (!isLast) {
      exchange.progressMs = nowMs();
      return;
    }
    exchange.bodyPending = false;
    exchange.body = this.#buffer;
    exchange.bodyBytes = this.#bytes;
    this.#handler.onBody(exchange);
  }

  /** False: over a bound, and answered. */
  #append(chunk: Uint8Array): boolean {
    if (this.#exchange.contentLength < 0 && !this.#reserve(chunk.length)) return false;
    this.#buffer.set(chunk, this.#bytes);
    this.#bytes += chunk.length;
    this.#exchange.bodyBytes = this.#bytes;
    return true;
  }

  /** Chunked: nobody said how much will come. */
  #reserve(bytes: number): boolean {
    const error = this.#handler.reserveBody(this.#exchange, bytes);
    if (error !== null) {
      this.#handler.onRefused(this.#exchange, error);
      return false;
    }
    const needed = this.#bytes + bytes + SPLICE_ROOM_BYTES;
    if (needed > this.#buffer.length) this.#grow(Math.max(needed, 2 * this.#buffer.length, CHUNKED_BODY_BYTES_INITIAL));
    return true;
  }

  #grow(bytes: number): void {
    const larger = Buffer.allocUnsafe(bytes);
    this.#buffer.copy(larger, 0, 0, this.#bytes);
    this.#buffer = larger;
  }
}
