/**
 * The connections of one front that are not passed to the app yet: a PROXY header, a TLS handshake or the first byte of a
 * request is waited for. Gateway worker. What must stay true: there are at most GREETINGS_MAX of them, and none is older
 * than GREETING_MS_MAX by more than a sweep, however busily it does nothing.
 */
import type { Socket } from "node:net";
import { GREETING_MS_MAX, GREETING_PATIENCE_MS, GREETINGS_MAX } from "../base/limits.ts";
import type { Refusal } from "../base/refusals.ts";

/** What is waited for: the reason if it does not come. */
export type Awaited = Extract<Refusal, `${string}_timeout`>;

export interface Greeting {
  /** As it was accepted, below TLS. */
  readonly socket: Socket;
  readonly sinceMs: number;
  awaited: Awaited;
  /** Of the client, by a PROXY header; null: the connection's own. */
  address: Uint8Array | null;
}

export class Greetings {
  /** Oldest first. */
  readonly #all = new Set<Greeting>();

  add(socket: Socket, awaited: Awaited, sinceMs: number): Greeting {
    const greeting: Greeting = { socket, sinceMs, awaited, address: null };
    this.#all.add(greeting);
    return greeting;
  }

  all(): readonly Greeting[] {
    return [...this.#all];
  }

  /** True: it was still one of them. */
  remove(greeting: Greeting): boolean {
    return this.#all.delete(greeting);
  }

  /**
   * The one that is too many, if any. Those who have had some time go first, so that holding connections open keeps nobody
   * out; a crowd that has just come together is served in its order.
   */
  surplus(newest: Greeting, nowMs: number): Greeting | null {
    if (this.#all.size <= GREETINGS_MAX) return null;
    const [oldest = newest] = this.#all;
    return nowMs - oldest.sinceMs >= GREETING_PATIENCE_MS ? oldest : newest;
  }

  /** The next one whose time is over. */
  late(nowMs: number): Greeting | null {
    const [oldest] = this.#all;
    return oldest !== undefined && nowMs - oldest.sinceMs >= GREETING_MS_MAX ? oldest : null;
  }
}
