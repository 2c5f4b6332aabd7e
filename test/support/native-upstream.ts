/**
 * The native connections to providers, for tests that drive the binding itself: opens it once per process and keeps what every
 * connection was told, in copies.
 */
import { native } from "../../src/native/native.ts";
import * as wire from "../../src/native/upstream.ts";
import { within } from "./until.ts";

export type Told =
  | { readonly kind: "connected"; readonly resumed: boolean }
  | { readonly kind: "connect failed"; readonly cause: number; readonly detail: number; readonly handshake: boolean }
  | {
      readonly kind: "head";
      readonly status: number;
      readonly flags: number;
      readonly contentLength: bigint;
      readonly lines: string;
      readonly contentType: string | null;
      readonly contentEncoding: string | null;
      readonly requestId: string | null;
    }
  | { readonly kind: "body"; readonly bytes: Buffer }
  | { readonly kind: "end"; readonly reusable: boolean; readonly keepAliveS: number }
  | { readonly kind: "fail"; readonly cause: number; readonly detail: number; readonly answered: boolean }
  | { readonly kind: "closed"; readonly cause: number; readonly detail: number };

export type Kind = Told["kind"];
type Of<K extends Kind> = Extract<Told, { kind: K }>;

interface Waiter {
  readonly kinds: readonly Kind[];
  readonly resolve: (told: Told) => void;
}

/** How often JavaScript was called. */
let calls = 0;
export const deliveries = (): number => calls;

const links = new Map<number, Link>();
/** Called for every record, inside of onEvents. */
const { events, slab } = wire.openUpstream(native, onEvents, [
  "connection",
  "content-length",
  "transfer-encoding",
  "x-request-id",
]);
const bytes = Buffer.from(slab.buffer, slab.byteOffset, slab.byteLength);

function onEvents(): void {
  calls += 1;
  const count = events[0] ?? 0;
  for (let i = 0; i < count; i += 1) {
    const at = wire.EVENTS_BEGIN + i * wire.EVENT_STRIDE;
    links.get(events[at + wire.EVENT_CONNECTION] ?? 0)?.hear(toldAt(events.subarray(at, at + wire.EVENT_STRIDE)));
  }
}

function toldAt(record: Int32Array): Told {
  const at = (index: number) => record[index] ?? 0;
  const cause = at(wire.FAILED_CAUSE);
  const detail = at(wire.FAILED_DETAIL);
  switch (at(wire.EVENT_KIND)) {
    case wire.CONNECTED:
      return { kind: "connected", resumed: at(wire.CONNECTED_RESUMED) === 1 };
    case wire.CONNECT_FAILED:
      return { kind: "connect failed", cause, detail, handshake: at(wire.CONNECT_FAILED_HANDSHAKE) === 1 };
    case wire.HEAD:
      return headAt(at);
    case wire.BODY:
      return { kind: "body", bytes: Buffer.from(bytes.subarray(at(wire.BODY_START), at(wire.BODY_END))) };
    case wire.END:
      return { kind: "end", reusable: at(wire.END_REUSABLE) === 1, keepAliveS: at(wire.END_KEEP_ALIVE_S) };
    case wire.FAIL:
      return { kind: "fail", cause, detail, answered: at(wire.FAIL_ANSWERED) === 1 };
    case wire.CLOSED:
      return { kind: "closed", cause, detail };
    default:
      throw new Error(`a record of the unknown kind ${at(wire.EVENT_KIND)}`);
  }
}

function headAt(at: (index: number) => number): Of<"head"> {
  const text = (from: number) => (at(from) < 0 ? null : bytes.toString("latin1", at(from), at(from + 1)));
  return {
    kind: "head",
    status: at(wire.HEAD_STATUS),
    flags: at(wire.HEAD_FLAGS),
    contentLength: (BigInt(at(wire.HEAD_LENGTH_HIGH)) << 32n) | BigInt(at(wire.HEAD_LENGTH_LOW) >>> 0),
    lines: text(wire.HEAD_LINES_START) ?? "",
    contentType: text(wire.HEAD_TYPE_START),
    contentEncoding: text(wire.HEAD_ENCODING_START),
    requestId: text(wire.HEAD_REQUEST_ID_START),
  };
}

export interface LinkOptions {
  readonly port: number;
  readonly address?: string;
  readonly context?: number;
  readonly serverName?: string;
}

/** One connection and what it was told. */
export class Link {
  readonly id: number;
  readonly told: Told[] = [];
  /** Called for each of it, inside of onEvents. */
  onTold: ((told: Told) => void) | null = null;
  #read = 0;
  #waiter: Waiter | null = null;

  constructor({ port, address = "127.0.0.1", context = -1, serverName = "localhost" }: LinkOptions) {
    this.id = native.upstreamConnect(address, port, context, serverName);
    if (this.id > 0) links.set(this.id, this);
  }

  send(head: string, body: Uint8Array | null = null, headRequest = false, bodyReady = body?.length ?? 0): boolean {
    return native.upstreamSend(this.id, head, body, bodyReady, headRequest);
  }

  get(path = "/"): boolean {
    return this.send(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
  }

  post(body: Uint8Array): boolean {
    return this.send(`POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${body.length}\r\n\r\n`, body);
  }

  pause(paused: boolean): void {
    native.upstreamPause(this.id, paused);
  }

  close(): void {
    native.upstreamClose(this.id);
    links.delete(this.id);
  }

  hear(told: Told): void {
    this.told.push(told);
    this.onTold?.(told);
    this.#serve();
  }

  /** The next that it is told of this kind; anything of another kind before it stays in `told`. */
  next<K extends Kind>(...kinds: K[]): Promise<Of<K>> {
    const found = new Promise<Told>((resolve) => {
      this.#waiter = { kinds, resolve };
    });
    this.#serve();
    return within(`${kinds.join(" or ")} after ${this.told.map(({ kind }) => kind).join(", ")}`, found) as Promise<
      Of<K>
    >;
  }

  /** Head, body and end of the next response. */
  async response(): Promise<{ head: Of<"head">; body: Buffer; reusable: boolean }> {
    const from = this.#read;
    const last = await this.next("end", "fail", "closed", "connect failed");
    if (last.kind !== "end") throw new Error(`${last.kind}: ${native.upstreamReason(last.cause, last.detail)}`);
    const told = this.told.slice(from, this.#read);
    const head = told.find((one) => one.kind === "head");
    if (head === undefined) throw new Error("no head");
    const body = Buffer.concat(told.flatMap((one) => (one.kind === "body" ? [one.bytes] : [])));
    return { head, body, reusable: last.reusable };
  }

  #serve(): void {
    const waiter = this.#waiter;
    while (waiter !== null && this.#read < this.told.length) {
      const told = this.told[this.#read];
      this.#read += 1;
      if (told === undefined || !waiter.kinds.includes(told.kind)) continue;
      this.#waiter = null;
      waiter.resolve(told);
      return;
    }
  }
}
