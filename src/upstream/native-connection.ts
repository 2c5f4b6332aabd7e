/** One HTTP/1.1 connection of the native transport: made by a Dial, then a socket of the addon's. Gateway worker. */
import type { ErrorRow } from "../base/errors.ts";
import { KEEP_ALIVE_MARGIN_MS } from "../base/limits.ts";
import { native } from "../native/native.ts";
import { type Address, isGone } from "./addresses.ts";
import { Connection } from "./connection.ts";
import { type Destination, Dial, type Dialer } from "./dial.ts";
import type { NativeAttempt } from "./native-attempt.ts";
import { closeSocket, own, type SocketOwner } from "./native-events.ts";
import type { Origin } from "./origin.ts";
import type { ResponseHead } from "./transport.ts";

const MS_PER_S = 1_000;

export class NativeConnection extends Connection implements SocketOwner, Dialer {
  id = -1;
  readonly #origin: Origin<NativeConnection>;
  /** While it is made. */
  #dial: Dial | null;
  /** When it is made. */
  #address: Address | null = null;
  /** Null: it is free. */
  #attempt: NativeAttempt | null = null;
  #paused = false;

  constructor(destination: Destination, origin: Origin<NativeConnection>) {
    super();
    this.#origin = origin;
    this.#dial = new Dial(destination, this);
  }

  /** Now, or when it is made. */
  carry(attempt: NativeAttempt): void {
    this.#attempt = attempt;
    if (this.connected) this.#send(attempt);
  }

  #send(attempt: NativeAttempt): void {
    if (!native.upstreamSend(this.id, attempt.head, attempt.body, attempt.bodyReady, attempt.isHead)) {
      this.#attempt = null;
      this.#origin.replace(this, attempt);
      return;
    }
    this.requests += 1;
    attempt.onSent();
  }

  /** Before it is made this does nothing: the attempt knows how much there is. */
  release(bodyReady: number): void {
    if (this.id >= 0) native.upstreamRelease(this.id, bodyReady);
  }

  pause(paused: boolean): void {
    if (this.#paused === paused || this.id < 0) return;
    this.#paused = paused;
    native.upstreamPause(this.id, paused);
  }

  isOutdated(): boolean {
    return this.#address !== null && isGone(this.#address);
  }

  close(): void {
    this.#attempt = null;
    this.#dial?.cancel();
    closeSocket(this.id);
  }

  onDialed(socket: number, address: Address): void {
    this.#dial = null;
    this.#address = address;
    this.id = socket;
    own(this);
    this.#origin.connected(this, 1);
    if (this.#attempt !== null) this.#send(this.#attempt);
  }

  onDialFailed(error: ErrorRow, cause: string): void {
    this.#dial = null;
    this.#end()?.onFail(error, false, cause);
  }

  onHead(head: ResponseHead): void {
    this.#attempt?.onHead(head);
  }

  onBody(bytes: Buffer, isLast: boolean): void {
    this.#attempt?.onBody(bytes, isLast);
  }

  onEnd(reusable: boolean, keepAliveS: number): void {
    const attempt = this.#attempt;
    this.#attempt = null;
    // Its end may have come with the last bytes before the pause.
    this.pause(false);
    // First free, then told: what the listener starts now finds a warm connection.
    if (keepAliveS >= 0) this.keepAliveMs = keepAliveS * MS_PER_S - KEEP_ALIVE_MARGIN_MS;
    if (reusable && this.keepAliveMs > 0) this.#origin.release(this);
    else this.#origin.discard(this);
    attempt?.onEnd();
  }

  onFail(cause: number, detail: number, answered: boolean): void {
    const reused = this.requests > 1;
    this.#end()?.onBroken(cause, native.upstreamReason(cause, detail), reused && !answered);
  }

  /** With a request on it, that one was too late: the provider has not seen it. */
  onClosed(): void {
    this.#end()?.onStale();
  }

  /** The connection is over; the attempt that was on it. */
  #end(): NativeAttempt | null {
    const attempt = this.#attempt;
    this.#attempt = null;
    this.#origin.discard(this);
    return attempt;
  }

  // A connection that is made is not made again.
  onConnected(): void {}
  onConnectFailed(): void {}
}
