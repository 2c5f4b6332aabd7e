/**
 * Answers requests that are shed, as cheaply as it can be: no record, no body, one write. Gateway worker, main thread. The first one of a
 * turn of the loop is answered here; those behind it are answered by the addon before uWebSockets.js reads them (native/shed.cc), because
 * of all that a refusal costs, that and the call into JavaScript are two fifths. With the turn that is over.
 */
import { nextRequestId } from "../base/ids.ts";
import { REQUEST_ID_BYTES_MAX, TARGET_BYTES_MAX, UNREAD_BODY_BYTES_MAX } from "../base/limits.ts";
import { native } from "../native/native.ts";
import { Exchange, type RequestHandler } from "../pipeline/exchange.ts";
import { type ClientStream, KEEP_ALIVE } from "./client-stream.ts";
import { dateHeader } from "./frames.ts";
import { readHead } from "./request-head.ts";
import type { UwsRequest, UwsResponse } from "./uws.ts";

// A head that is not longer than a target may be breaks no bound.
native.shedForm(TARGET_BYTES_MAX, UNREAD_BODY_BYTES_MAX, REQUEST_ID_BYTES_MAX);

export class Shed {
  readonly #handler: RequestHandler;
  /** The addon answers, until the turn is over. */
  #isNative = false;

  constructor(handler: RequestHandler) {
    this.#handler = handler;
  }

  /**
   * False: something about the request, or about its connection, is special, and nothing was done. `direct`: its connection is the
   * client's own.
   */
  answer(stream: ClientStream, response: UwsResponse, request: UwsRequest, direct: boolean): boolean {
    const { snapshot, draining, shedHead, shedBody } = this.#handler;
    const exchange = new Exchange(snapshot, stream, 0, draining);
    if (readHead(request, exchange) !== null || exchange.method !== "POST" || exchange.closing) return false;
    if (exchange.contentLength < 0 || exchange.contentLength > UNREAD_BODY_BYTES_MAX) return false;
    if (direct) this.#answerNext(response);
    response.writeStatus(shedHead + exchange.requestId + KEEP_ALIVE);
    response.end(shedBody);
    return true;
  }

  #answerNext(response: UwsResponse): void {
    const { shedHead, shedBody } = this.#handler;
    const length = `\r\ncontent-length: ${Buffer.byteLength(shedBody)}\r\n`;
    const afterId = `${KEEP_ALIVE}${length}${dateHeader(Date.now())}\r\n${shedBody}`;
    native.shedAlso(response, `HTTP/1.1 ${shedHead}`, afterId, `${nextRequestId()}-`);
    if (this.#isNative) return;
    this.#isNative = true;
    native.eachTurn(this.#onTurn);
  }

  readonly #onTurn = (): boolean => {
    this.end();
    return false;
  };

  /** Before the apps are closed. */
  end(): void {
    if (!this.#isNative) return;
    this.#isNative = false;
    this.#handler.onShed(native.shedNoMore());
  }
}
