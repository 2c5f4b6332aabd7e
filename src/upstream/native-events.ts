/**
 * Hands what the addon tells of connections to those that wait for it. Gateway worker, main thread; one per process, opened
 * with the first origin that needs it. A batch has everything that one turn of the loop brought, of all connections, in order.
 */
import { native } from "../native/native.ts";
import {
  BODY,
  BODY_END,
  BODY_LAST,
  BODY_START,
  CLOSED,
  CONNECT_FAILED,
  CONNECTED,
  END,
  END_KEEP_ALIVE_S,
  END_REUSABLE,
  EVENT_CONNECTION,
  EVENT_KIND,
  EVENT_STRIDE,
  EVENTS_BEGIN,
  FAIL,
  FAIL_ANSWERED,
  FAILED_CAUSE,
  FAILED_DETAIL,
  FLAG_CLOSE_DELIMITED,
  HEAD,
  HEAD_ENCODING_END,
  HEAD_ENCODING_START,
  HEAD_FLAGS,
  HEAD_LENGTH_HIGH,
  HEAD_LENGTH_LOW,
  HEAD_LINES_END,
  HEAD_LINES_START,
  HEAD_REQUEST_ID_END,
  HEAD_REQUEST_ID_START,
  HEAD_STATUS,
  HEAD_TYPE_END,
  HEAD_TYPE_START,
  openUpstream,
  SLOT_MASK,
} from "../native/upstream.ts";
import { DROPPED } from "./response-headers.ts";
import type { ResponseHead } from "./transport.ts";

/** What can happen to a connection. `cause` and `detail`: of native/upstream.ts. */
export interface SocketOwner {
  /** Of the addon's connection; an event for another number is for one that was here before. */
  readonly id: number;
  onConnected(): void;
  onConnectFailed(cause: number, detail: number): void;
  onHead(head: ResponseHead): void;
  /** `isLast`: onEnd follows at once, and the bytes are valid until it returns; else during the call. */
  onBody(bytes: Buffer, isLast: boolean): void;
  /** `keepAliveS`: how long the provider keeps the connection while it is idle; -1: it does not say. */
  onEnd(reusable: boolean, keepAliveS: number): void;
  onFail(cause: number, detail: number, answered: boolean): void;
  /** It was idle, as far as the provider knows. */
  onClosed(): void;
}

/** By slot. */
const owners: (SocketOwner | undefined)[] = [];
let events: Int32Array = new Int32Array(0);
let slab: Buffer = Buffer.alloc(0);

/** Begins a connection; -1: there are too many. */
export function connectSocket(address: string, port: number, context: number, serverName: string): number {
  return native.upstreamConnect(address, port, context, serverName);
}

/** Who hears of a connection from now on. */
export function own(owner: SocketOwner): void {
  owners[owner.id & SLOT_MASK] = owner;
}

/** Ends a connection in any state; nobody hears of it again. */
export function closeSocket(id: number): void {
  if (id < 0) return;
  native.upstreamClose(id);
  const slot = id & SLOT_MASK;
  if (owners[slot]?.id === id) owners[slot] = undefined;
}

/** Before all else; again, it does nothing. */
export function openSockets(): void {
  if (slab.length > 0) return;
  const opened = openUpstream(native, onEvents, [...DROPPED]);
  events = opened.events;
  const { buffer, byteOffset, byteLength } = opened.slab;
  slab = Buffer.from(buffer, byteOffset, byteLength);
}

function onEvents(): void {
  const end = EVENTS_BEGIN + number(0) * EVENT_STRIDE;
  for (let at = EVENTS_BEGIN; at < end; at += EVENT_STRIDE) {
    const id = number(at + EVENT_CONNECTION);
    const owner = owners[id & SLOT_MASK];
    if (owner !== undefined && owner.id === id) tell(owner, at);
  }
}

function number(at: number): number {
  return events[at] ?? 0;
}

function tell(owner: SocketOwner, at: number): void {
  switch (number(at + EVENT_KIND)) {
    case HEAD:
      owner.onHead(headAt(at));
      break;
    case BODY:
      owner.onBody(slab.subarray(number(at + BODY_START), number(at + BODY_END)), number(at + BODY_LAST) !== 0);
      break;
    case END:
      owner.onEnd(number(at + END_REUSABLE) !== 0, number(at + END_KEEP_ALIVE_S));
      break;
    default:
      tellOfConnection(owner, at);
  }
}

function tellOfConnection(owner: SocketOwner, at: number): void {
  const cause = number(at + FAILED_CAUSE);
  const detail = number(at + FAILED_DETAIL);
  switch (number(at + EVENT_KIND)) {
    case CONNECTED:
      owner.onConnected();
      break;
    case CONNECT_FAILED:
      owner.onConnectFailed(cause, detail);
      break;
    case FAIL:
      owner.onFail(cause, detail, number(at + FAIL_ANSWERED) !== 0);
      break;
    case CLOSED:
      owner.onClosed();
      break;
    default:
  }
}

const HIGH = 2 ** 32;

function headAt(at: number): ResponseHead {
  return {
    status: number(at + HEAD_STATUS),
    lines: textOf(number(at + HEAD_LINES_START), number(at + HEAD_LINES_END)),
    contentType: textOf(number(at + HEAD_TYPE_START), number(at + HEAD_TYPE_END)),
    contentEncoding: textOf(number(at + HEAD_ENCODING_START), number(at + HEAD_ENCODING_END)),
    upstreamRequestId: textOf(number(at + HEAD_REQUEST_ID_START), number(at + HEAD_REQUEST_ID_END)),
    contentLength: number(at + HEAD_LENGTH_HIGH) * HIGH + (number(at + HEAD_LENGTH_LOW) >>> 0),
    closeDelimited: (number(at + HEAD_FLAGS) & FLAG_CLOSE_DELIMITED) !== 0,
  };
}

function textOf(start: number, end: number): string {
  return start < 0 ? "" : slab.toString("latin1", start, end);
}
