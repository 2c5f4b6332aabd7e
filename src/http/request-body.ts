/**
 * The request body, collected into one buffer. Gateway worker, main thread. uWebSockets.js takes a chunk back when its callback
 * returns, so every chunk is copied, once. What has come stands in the exchange: `body` and `bodyBytes`.
 *
 * A small body has a buffer of its size. The scan and the transport then take the buffer itself, and not a view of its
 * beginning, which costs more than the copy that a splice has to make. A larger one has room for a splice behind it.
 */

import { nowMs } from "../base/clock.ts";
import { CHUNKED_BODY_BYTES_INITIAL, SMALL_BODY_BYTES_MAX, SPLICE_ROOM_BYTES } from "../base/limits.ts";
import { type Exchange, PHASE_BODY, type RequestHandler } from "../pipeline/exchange.ts";
import type { ClientStream } from "./client-stream.ts";

/** For `onData`; goes on being called after an early answer, for chunked bodies. */
export function takeBody(
  exchange: Exchange,
  stream: ClientStream,
  handler: RequestHandler,
  chunk: ArrayBuffer,
  isLast: boolean,
): void {
  if (stream.lingering) stream.discard(chunk.byteLength, isLast);
  if (exchange.phase !== PHASE_BODY || stream.closed) return;
  if (chunk.byteLength > 0 && !append(exchange, handler, new Uint8Array(chunk))) return;
  if (!isLast) {
    exchange.progressMs = nowMs();
    // A head that comes alone is told as a chunk without bytes.
    if (exchange.contentLength >= 0 && exchange.body !== null) handler.onBodyPart(exchange);
    return;
  }
  exchange.bodyPending = false;
  handler.onBody(exchange);
}

/** False: over a bound, and answered. */
function append(exchange: Exchange, handler: RequestHandler, chunk: Uint8Array): boolean {
  const at = exchange.bodyBytes;
  const body = exchange.contentLength < 0 ? reserve(exchange, handler, chunk.length) : announced(exchange);
  if (body === null) return false;
  body.set(chunk, at);
  exchange.bodyBytes = at + chunk.length;
  return true;
}

function announced(exchange: Exchange): Buffer {
  const { contentLength } = exchange;
  const room = contentLength > SMALL_BODY_BYTES_MAX ? SPLICE_ROOM_BYTES : 0;
  exchange.body ??= Buffer.allocUnsafe(contentLength + room);
  return exchange.body;
}

/** Chunked: nobody said how much will come. Null: it is too much. */
function reserve(exchange: Exchange, handler: RequestHandler, bytes: number): Buffer | null {
  const error = handler.reserveBody(exchange, bytes);
  if (error !== null) {
    handler.onRefused(exchange, error);
    return null;
  }
  const { body, bodyBytes } = exchange;
  const needed = bodyBytes + bytes + SPLICE_ROOM_BYTES;
  if (body !== null && body.length >= needed) return body;
  const larger = Buffer.allocUnsafe(Math.max(needed, 2 * bodyBytes, CHUNKED_BODY_BYTES_INITIAL));
  body?.copy(larger, 0, 0, bodyBytes);
  exchange.body = larger;
  return larger;
}
