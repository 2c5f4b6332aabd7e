/**
 * The relay of one attempt's answer to the client: bytes in, the same bytes out, usage picked from them as they pass.
 * Gateway worker, main thread; created per attempt. Events of a stream are delivered whole, so that a stream that breaks
 * can still end with a clean error event, and the usage event that we asked for can be kept from the client.
 */

import { nowMs } from "../base/clock.ts";
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import { CORK_BYTES_MAX, HELD_EVENT_BYTES_MAX, STALE_MS_MAX } from "../base/limits.ts";
import {
  borders,
  CONTENT_MOST,
  feedScan,
  openScan,
  SEEN_ERROR,
  SEEN_FINISH,
  SEEN_JSON,
  SEEN_TERMINAL,
  SEEN_TERMINAL_EVENT,
  written,
} from "../providers/response-scan.ts";
import type { AttemptListener, ResponseHead } from "../upstream/transport.ts";
import { endingOf } from "./cut.ts";
import { ENDPOINT_CHAT, ENDPOINT_COMPLETIONS, ENDPOINT_RESPONSES } from "./endpoint.ts";
import { type Exchange, NO_BYTES, PHASE_CONNECTING, PHASE_SENT, PHASE_STREAMING } from "./exchange.ts";
import { CLIENT_ERROR } from "./failure.ts";
import { failureOfText, failuresToRead } from "./failure-text.ts";
import { HeldError } from "./held-error.ts";
import { noteAnswer } from "./lessons.ts";
import { responseHead } from "./response-head.ts";

/** What the relay needs of the pipeline. */
export interface RelayOwner {
  /** Monotonic milliseconds at the last sweep: precise enough for deadlines, and free. */
  readonly tickMs: number;
  releaseBody(exchange: Exchange): void;
  settle(exchange: Exchange): void;
  /** More of a stream has come than its limits know of: whether it goes on. */
  goesOn(exchange: Exchange, deltas: number, bytes: number): boolean;
  /** It was sent, and has a shadow copy. */
  mirror(exchange: Exchange): void;
  /** Between two reads of a stream that brought events to the client. */
  onGap(exchange: Exchange, gapMs: number): void;
  /** Before anything was sent to the client. */
  refuse(exchange: Exchange, error: ErrorRow): void;
  /** In the middle of the answer. */
  breakOff(exchange: Exchange, error: ErrorRow): void;
  replay(exchange: Exchange): void;
  /** An attempt failed before an answer: another one, or the error. */
  fail(exchange: Exchange, error: ErrorRow): void;
  /** Of a good answer from one of several targets: its first bytes go to the client, or it ends without any. */
  answers(exchange: Exchange): void;
  /** Of an answer that is an error or has a choice of targets or credentials behind it: whether another attempt takes its place. */
  passesOver(exchange: Exchange, head: ResponseHead): boolean;
  /** The same of an error that is whole, by the kind that its text tells; 0: none. */
  passesOverText(exchange: Exchange, failure: number): boolean;
  /** The same of events with which a stream begins, and which may be an error. */
  passesOverEvents(exchange: Exchange, events: Buffer): boolean;
}

export class Relay implements AttemptListener {
  readonly #exchange: Exchange;
  readonly #owner: RelayOwner;
  /** An error answer that is not with the client yet. */
  #heldError: HeldError | null = null;
  /** What is delivered now goes out in one write with what follows: it came with it. */
  #gathers = false;
  #gathered: Uint8Array = NO_BYTES;
  #keepsOpening = false;
  /** It was told whether its first events are an error. */
  #isJudged = false;

  constructor(exchange: Exchange, owner: RelayOwner) {
    this.#exchange = exchange;
    this.#owner = owner;
  }

  onConnecting(): void {
    this.#exchange.enterAttempt(PHASE_CONNECTING, this.#owner.tickMs);
  }

  onSent(): void {
    this.#exchange.sent = true;
    this.#exchange.enterAttempt(PHASE_SENT, this.#owner.tickMs);
    if (this.#exchange.shadow !== null) this.#owner.mirror(this.#exchange);
  }

  onHead(head: ResponseHead): void {
    const exchange = this.#exchange;
    const { status } = head;
    exchange.headMs = nowMs();
    exchange.upstreamStatus = status;
    const isLookedAt = status >= CLIENT_ERROR || exchange.choice !== null || exchange.credential >= 0;
    if (isLookedAt && this.#owner.passesOver(exchange, head)) return;
    const failures = status >= CLIENT_ERROR ? failuresToRead(exchange, status) : 0;
    // It may have to be sent again.
    if (failures === 0 && exchange.route?.repeats !== true) this.#owner.releaseBody(exchange);
    if (status === 401 || status === 407) {
      this.#refuseCredential();
      return;
    }
    exchange.enter(PHASE_STREAMING, exchange.headMs);
    // An early answer to an upload: to close with bytes unread would reset the connection under it.
    if (exchange.bodyPending) exchange.closing = false;
    readFraming(exchange, head);
    this.#keepsOpening = exchange.endpoint === ENDPOINT_RESPONSES && exchange.deltasAllowed < CONTENT_MOST;
    const text = responseHead(exchange, head);
    const secrets = exchange.target === null ? [] : exchange.target.provider.secrets;
    if (status >= CLIENT_ERROR && (secrets.length > 0 || failures !== 0))
      this.#heldError = new HeldError(text, secrets, failures);
    else this.#begin(text);
  }

  #begin(text: string): void {
    const exchange = this.#exchange;
    exchange.status = exchange.upstreamStatus;
    exchange.down.begin(text, exchange.answerLength);
  }

  /** The provider's text may quote the credential, and the client's key is not what was wrong. */
  #refuseCredential(): void {
    const exchange = this.#exchange;
    exchange.attempt?.cancel();
    this.#owner.refuse(exchange, ERRORS.upstreamAuth);
  }

  onChunk(chunk: Buffer, isLast: boolean): void {
    const exchange = this.#exchange;
    this.#gathers = isLast && exchange.answerLength < 0;
    exchange.progressMs = this.#owner.tickMs;
    if (exchange.firstChunkMs === 0) this.#noteFirst();
    if (exchange.scan >= 0) exchange.seen = feedScan(exchange.scan, chunk);
    if (this.#heldError !== null) this.#holdError(this.#heldError, chunk);
    else if (exchange.eventStream && exchange.scan >= 0) this.#deliverEvents(chunk);
    else this.#deliver(chunk);
    if (!isLast && this.#gathers) this.#letGo();
  }

  /** Only a stream has first bytes that are worth a clock read of their own. */
  #noteFirst(): void {
    const exchange = this.#exchange;
    const { choice } = exchange;
    exchange.firstChunkMs = exchange.eventStream ? nowMs() : exchange.headMs;
    if (choice !== null) noteAnswer(exchange, choice, exchange.firstChunkMs);
  }

  /** Before it is settled. What breaks off before the client has anything of it was never a good answer. */
  #noteGood(): void {
    const exchange = this.#exchange;
    const { choice, responseBytes, settled, upstreamStatus } = exchange;
    if (choice === null || this.#isJudged || responseBytes > 0 || settled || upstreamStatus >= CLIENT_ERROR) return;
    this.#owner.answers(exchange);
  }

  /** The first bytes go to the client: no other try can follow. */
  #commit(): void {
    const exchange = this.#exchange;
    if (exchange.body !== null) this.#owner.releaseBody(exchange);
    this.#noteGood();
  }

  #holdError(held: HeldError, chunk: Buffer): void {
    if (held.add(chunk)) return;
    if (this.#exchange.status === 0 && held.failures !== 0) this.#owner.releaseBody(this.#exchange);
    if (held.leaks) this.#dropLeak();
    else if (this.#exchange.status === 0) this.#beginError(held);
    else this.#deliver(held.take());
  }

  /** The beginning of a large error answer may be with the client already. */
  #dropLeak(): void {
    const exchange = this.#exchange;
    exchange.attempt?.cancel();
    if (exchange.status === 0) this.#owner.refuse(exchange, ERRORS.upstreamAuth);
    else this.#owner.breakOff(exchange, ERRORS.upstreamAuth);
  }

  #beginError(held: HeldError): void {
    this.#begin(held.head);
    this.#deliver(held.take());
  }

  /** Ends the hold at the end of the answer; false: something else is the answer. */
  #releaseError(): boolean {
    const held = this.#heldError;
    if (held === null) return true;
    this.#heldError = null;
    if (this.#isPassedOver(held)) return false;
    if (held.leaks) {
      this.#dropLeak();
      return false;
    }
    if (this.#exchange.status === 0) this.#beginError(held);
    else this.#deliver(held.take());
    return true;
  }

  #isPassedOver({ failures, bytes }: HeldError): boolean {
    const exchange = this.#exchange;
    if (failures === 0 || exchange.status !== 0) return false;
    if (this.#owner.passesOverText(exchange, failureOfText(bytes, failures))) return true;
    this.#owner.releaseBody(exchange);
    return false;
  }

  #deliver(chunk: Uint8Array): void {
    const exchange = this.#exchange;
    if (exchange.down.closed || chunk.length === 0) return;
    if (exchange.responseBytes === 0) this.#commit();
    exchange.responseBytes += chunk.length;
    // The record is there before the client can have the last byte.
    if (exchange.responseBytes === exchange.answerLength) this.#owner.settle(exchange);
    if (this.#gathers) this.#gather(chunk);
    else this.#write(chunk);
  }

  #write(chunk: Uint8Array): void {
    const { down, attempt } = this.#exchange;
    down.write(chunk);
    if (down.blocked) attempt?.pause();
  }

  /** What does not fit into one write is not copied for it. */
  #gather(chunk: Uint8Array): void {
    const before = this.#gathered;
    if (before.length + chunk.length <= CORK_BYTES_MAX) {
      this.#gathered = before.length === 0 ? chunk : Buffer.concat([before, chunk]);
      return;
    }
    this.#write(before);
    this.#gathered = chunk;
  }

  #letGo(): void {
    const gathered = this.#gathered;
    this.#gathers = false;
    this.#gathered = NO_BYTES;
    this.#write(gathered);
  }

  /** Delivers up to the last event border and holds the rest; leaves out the usage event when it is ours. */
  #deliverEvents(chunk: Buffer): void {
    const exchange = this.#exchange;
    const { boundary, stripStart, stripEnd } = borders;
    if (exchange.responseBytes === 0 && boundary >= 0 && this.#beginsBadly(chunk, boundary)) return;
    if (this.#keepsOpening && boundary >= 0) this.#keepOpening(chunk.subarray(0, boundary));
    const { deltas, bytes } = written;
    if ((deltas > exchange.deltasAllowed || bytes > exchange.contentAllowed) && this.#cuts(chunk, deltas, bytes))
      return;
    if (exchange.held !== null || stripEnd >= 0) this.#gathers = true;
    if ((exchange.seen & SEEN_TERMINAL_EVENT) !== 0) this.#settleAhead(boundary, stripStart, stripEnd);
    if (exchange.usageAdded && stripEnd >= 0 && this.#strip(chunk, boundary, stripStart, stripEnd)) return;
    if (boundary < 0) {
      this.#hold(chunk);
      return;
    }
    this.#noteEvents();
    this.#releaseHeld();
    exchange.heldReleased = false;
    if (boundary === chunk.length) {
      this.#deliver(chunk);
      return;
    }
    this.#deliver(chunk.subarray(0, boundary));
    this.#hold(chunk.subarray(boundary));
  }

  /** The first events are whole. True: they are an error, of which the client has nothing yet, and another attempt takes their place. */
  #beginsBadly(chunk: Buffer, boundary: number): boolean {
    const exchange = this.#exchange;
    const isSuspect = (exchange.seen & (SEEN_ERROR | SEEN_TERMINAL)) !== 0 && written.deltas === 0;
    if (!isSuspect || this.#isJudged || exchange.heldReleased || exchange.settled) return false;
    this.#isJudged = true;
    const events = chunk.subarray(0, boundary);
    return this.#owner.passesOverEvents(
      exchange,
      exchange.held === null ? events : Buffer.concat([exchange.held, events]),
    );
  }

  /** A Responses stream that is cut says in the end what its first event did. */
  #keepOpening(events: Buffer): void {
    const exchange = this.#exchange;
    this.#keepsOpening = false;
    exchange.opening = exchange.held === null ? Buffer.from(events) : Buffer.concat([exchange.held, events]);
  }

  /** Behind the events that came whole, what goes beyond the limits among them: its provider bills that. Not where the stream ends by itself. */
  #cuts(chunk: Buffer, deltas: number, bytes: number): boolean {
    const exchange = this.#exchange;
    const { boundary, stripEnd } = borders;
    const ends = exchange.answers === 1 ? SEEN_TERMINAL | SEEN_FINISH : SEEN_TERMINAL;
    if (boundary < 0 || stripEnd >= 0 || exchange.settled || (exchange.seen & ends) !== 0) return false;
    if (this.#owner.goesOn(exchange, deltas, bytes)) return false;
    if (!exchange.down.closed) this.#cut(chunk.subarray(0, boundary));
    return true;
  }

  #cut(whole: Buffer): void {
    const exchange = this.#exchange;
    const events = exchange.held === null ? whole : Buffer.concat([exchange.held, whole]);
    const ending = Buffer.from(endingOf(exchange, events));
    exchange.held = null;
    exchange.attempt?.cancel();
    exchange.attempt = null;
    exchange.error = ERRORS.cutByLimit;
    this.#noteGood();
    exchange.responseBytes += events.length + ending.length;
    this.#owner.settle(exchange);
    const last = Buffer.concat([this.#gathered, events, ending]);
    this.#gathers = false;
    this.#gathered = NO_BYTES;
    exchange.down.end(last);
  }

  /** A client takes the terminal event for the end of the answer: the record is there before it goes out. */
  #settleAhead(boundary: number, stripStart: number, stripEnd: number): void {
    const exchange = this.#exchange;
    if (exchange.settled) return;
    const held = exchange.held === null ? 0 : exchange.held.length;
    const strips = exchange.usageAdded && stripEnd >= 0 && (stripStart >= 0 || !exchange.heldReleased);
    const stripped = strips ? stripEnd - Math.max(stripStart, 0) + (stripStart < 0 ? held : 0) : 0;
    const outgoing = held + boundary - stripped;
    this.#noteGood();
    exchange.responseBytes += outgoing;
    this.#owner.settle(exchange);
    exchange.responseBytes -= outgoing;
    exchange.enter(PHASE_STREAMING, exchange.progressMs);
  }

  /** False: the event's beginning has gone out already, so the rest of it follows. */
  #strip(chunk: Buffer, boundary: number, stripStart: number, stripEnd: number): boolean {
    const exchange = this.#exchange;
    if (stripStart < 0 && exchange.heldReleased) return false;
    if (stripStart < 0) exchange.held = null;
    if (stripStart > 0 || boundary > stripEnd) this.#noteEvents();
    this.#releaseHeld();
    exchange.heldReleased = false;
    if (stripStart > 0) this.#deliver(chunk.subarray(0, stripStart));
    this.#deliver(chunk.subarray(stripEnd, boundary));
    this.#hold(chunk.subarray(boundary));
    return true;
  }

  /** By the clock that the scan reads: no call for it. */
  #noteEvents(): void {
    const exchange = this.#exchange;
    const { atMs } = borders;
    if (exchange.eventsMs > 0) this.#owner.onGap(exchange, atMs - exchange.eventsMs);
    exchange.eventsMs = atMs;
  }

  /** A copy: a chunk is valid during its call only. */
  #hold(rest: Buffer): void {
    if (rest.length === 0) return;
    const exchange = this.#exchange;
    exchange.held = exchange.held === null ? Buffer.from(rest) : Buffer.concat([exchange.held, rest]);
    if (exchange.held.length <= HELD_EVENT_BYTES_MAX) return;
    exchange.heldReleased = true;
    this.#releaseHeld();
  }

  #releaseHeld(): void {
    const held = this.#exchange.held;
    if (held === null) return;
    this.#exchange.held = null;
    this.#deliver(held);
  }

  onEnd(): void {
    const exchange = this.#exchange;
    exchange.attempt = null;
    if (!isComplete(exchange)) {
      this.#letGo();
      this.#owner.breakOff(exchange, ERRORS.upstreamCut);
      return;
    }
    this.#gathers = exchange.answerLength < 0;
    if (!this.#releaseError()) return;
    this.#releaseHeld();
    this.#noteGood();
    this.#owner.settle(exchange);
    exchange.down.end(this.#gathered);
  }

  onFail(error: ErrorRow, replayable: boolean, cause = ""): void {
    const exchange = this.#exchange;
    exchange.failureCause = cause;
    exchange.attempt = null;
    // What comes after the terminal event is nothing to a client.
    if (exchange.settled) exchange.down.end(NO_BYTES);
    else if (exchange.status !== 0) this.#owner.breakOff(exchange, error);
    else if (replayable && this.#wasStale()) this.#owner.replay(exchange);
    else this.#owner.fail(exchange, error);
  }

  /** A connection that its provider had closed fails at once. Later the provider may have had the request, and even have failed by it. */
  #wasStale(): boolean {
    const { snapshot, replayed, progressMs } = this.#exchange;
    return snapshot.replayStale && !replayed && this.#owner.tickMs - progressMs <= STALE_MS_MAX;
  }
}

const NO_BODY_STATUS = new Set([204, 304]);

/** How the body is framed and whether it is looked at. */
function readFraming(exchange: Exchange, head: ResponseHead): void {
  exchange.eventStream = head.contentType.startsWith("text/event-stream") && isPlain(head);
  exchange.answerLength = exchange.eventStream ? -1 : head.contentLength;
  if (NO_BODY_STATUS.has(head.status)) exchange.answerLength = 0;
  exchange.closeDelimited = head.closeDelimited;
  if (hasUsage(exchange, head)) exchange.scan = openScan(exchange.eventStream);
}

/** Only a POST makes tokens: a GET that repeats an earlier answer would be billed twice. */
function hasUsage(exchange: Exchange, head: ResponseHead): boolean {
  if (exchange.method !== "POST" || head.status < 200 || head.status >= 300) return false;
  return exchange.eventStream || (isPlain(head) && head.contentType.startsWith("application/json"));
}

/** Of compressed bytes nothing can be read, and no event of ours can be put behind them. */
function isPlain({ contentEncoding }: ResponseHead): boolean {
  return contentEncoding === "" || contentEncoding === "identity";
}

/** What the framing cannot say: a stream without its terminal event, or a close-delimited JSON answer, was cut. */
function isComplete(exchange: Exchange): boolean {
  const { endpoint, eventStream, scan, seen, closeDelimited } = exchange;
  if (scan < 0) return true;
  if (!eventStream) return !closeDelimited || (seen & SEEN_JSON) !== 0;
  const streams = endpoint === ENDPOINT_CHAT || endpoint === ENDPOINT_COMPLETIONS || endpoint === ENDPOINT_RESPONSES;
  return !streams || (seen & (SEEN_TERMINAL | SEEN_FINISH | SEEN_ERROR)) !== 0;
}
