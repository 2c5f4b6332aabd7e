/**
 * The binding's part for connections to providers, written in C++ (src/native/upstream): HTTP/1.1 over TCP and TLS on libuv's loop.
 * Gateway worker, main thread. What happened on any connection comes in batches of records: numbers in `events`, bytes in `slab`.
 *
 *   events: | count | record 0 | record 1 | ...      a record: EVENT_STRIDE numbers, of which its kind says how many count
 *   slab:   bytes of heads and bodies, to which records have offsets; bytes and records are there during `onEvents` only
 *
 * A connection is a positive number: a slot, which is used again, and a generation, so that a number is not. Records about one that
 * JavaScript has closed, or has never known, may come and mean nothing.
 */
import { UPSTREAM_CONNECTIONS_MAX, UPSTREAM_HEADER_BYTES_MAX } from "../base/limits.ts";

export interface UpstreamEvents {
  readonly events: Int32Array;
  readonly slab: Uint8Array;
}

/** What the addon has. Inside of `onEvents` all of it may be called, but for upstreamOpen. */
export interface UpstreamBinding {
  /** Once per process, before all else; use openUpstream(). */
  upstreamOpen(
    onEvents: () => void,
    droppedNames: readonly string[],
    headerBytesMax: number,
    connectionsMax: number,
  ): UpstreamEvents;
  /**
   * A TLS context: what its connections trust and how they show themselves, and the sessions that they resume, by name of the server.
   * PEM; `certificatePem` with its chain, and `keyPem`: empty for none. `ciphers`: as node:tls has them. Never less than TLS 1.2. Throws
   * an Error that says what cannot be read.
   */
  upstreamTls(caPem: string, certificatePem: string, keyPem: string, ciphers: string): number;
  /** For new connections; those that are open keep it. */
  upstreamTlsClose(context: number): void;
  /**
   * Begins a connection to a literal IPv4 or IPv6 address and returns its number at once; CONNECTED or CONNECT_FAILED follows. -1: there
   * are UPSTREAM_CONNECTIONS_MAX. `context` -1: plain. `serverName`: a DNS name or an address, which the certificate must be for.
   */
  upstreamConnect(address: string, port: number, context: number, serverName: string): number;
  /**
   * Sends a request on a connection that is idle, or not connected yet: then it goes out when it is. `head`: Latin-1, complete, with the
   * empty line. `body`: of its final length; its first `bodyReady` bytes are there, and must not change until HEAD, END or FAIL. False:
   * nothing was sent, because it has ended, or something has come on it that nobody asked for. Close it.
   */
  upstreamSend(
    connection: number,
    head: string,
    body: Uint8Array | null,
    bodyReady: number,
    headRequest: boolean,
  ): boolean;
  /** The first `bodyReady` bytes of the body are there now. Nothing happens if the request is over. */
  upstreamRelease(connection: number, bodyReady: number): void;
  /** Stops or goes on reading. What was read before still comes. */
  upstreamPause(connection: number, paused: boolean): void;
  /**
   * On all connections: how long more of an answer may wait after some of it was read. At 0, as at first, all of it is read at once; any other
   * number is for a loop that has no rest, because whatever waits has it turn.
   */
  upstreamPatience(ms: number): void;
  /** Ends a connection in any state. Nothing happens if it has ended. */
  upstreamClose(connection: number): void;
  /** Connections that are not closed. */
  upstreamConnections(): number;
  /** What a CAUSE and its detail mean, for the operator. */
  upstreamReason(cause: number, detail: number): string;
}

/** The slot is the lower part of a connection's number: an index into an array of UPSTREAM_CONNECTIONS_MAX. */
export const SLOT_MASK = 0xffff;

/** Numbers per record in `events`, behind the count; the first two are always the connection and the kind. */
export const EVENT_STRIDE = 16;
export const EVENTS_BEGIN = 1;
export const EVENT_CONNECTION = 0;
export const EVENT_KIND = 1;

/** Kinds, and where their numbers are in the record. */
export const CONNECTED = 1;
/** 1: a TLS session was resumed. */
export const CONNECTED_RESUMED = 2;
/** Milliseconds are the caller's: connecting has no deadline here. The connection is closed. */
export const CONNECT_FAILED = 2;
/** For this and FAIL and CLOSED. */
export const FAILED_CAUSE = 2;
export const FAILED_DETAIL = 3;
/** 1: TCP had connected, so it failed in the TLS handshake. */
export const CONNECT_FAILED_HANDSHAKE = 4;
export const HEAD = 3;
export const HEAD_STATUS = 2;
export const HEAD_FLAGS = 3;
/** The content length, 64 bits; -1 for none: lower and upper half. */
export const HEAD_LENGTH_LOW = 4;
export const HEAD_LENGTH_HIGH = 5;
/** Offsets into `slab`: "\r\nname: value" of every header for the client; then single values, -1 where there is none. */
export const HEAD_LINES_START = 6;
export const HEAD_LINES_END = 7;
export const HEAD_TYPE_START = 8;
export const HEAD_TYPE_END = 9;
export const HEAD_ENCODING_START = 10;
export const HEAD_ENCODING_END = 11;
export const HEAD_REQUEST_ID_START = 12;
export const HEAD_REQUEST_ID_END = 13;
/** Bytes of a body, without their framing: offsets into `slab`. */
export const BODY = 4;
export const BODY_START = 2;
export const BODY_END = 3;
/** 1: the next record is END, for the same connection. */
export const BODY_LAST = 4;
/** The response is complete. */
export const END = 5;
/** 1: the connection is idle, and takes the next request. 0: it is closed, as when the body was not all sent. */
export const END_REUSABLE = 2;
/** How long the provider keeps the connection while it is idle, seconds; -1: it does not say. */
export const END_KEEP_ALIVE_S = 3;
/** The request failed, and the connection is closed. */
export const FAIL = 6;
/** 1: a byte of a response had come. */
export const FAIL_ANSWERED = 4;
/**
 * An idle connection ended, and is closed. Who has sent a request in the same turn gets this instead of FAIL: the provider has not
 * seen that request.
 */
export const CLOSED = 7;

/** Flags of HEAD. */
export const FLAG_CHUNKED = 1;
export const FLAG_CLOSE_DELIMITED = 2;

/** Why something failed; the detail is of this kind. */
export const CAUSE_SYSTEM = 1;
/** The peer ended the connection; the detail is 0, or the error number of an earlier write. */
export const CAUSE_PEER = 2;
/** What came is not a response that can be understood in one way only. */
export const CAUSE_PROTOCOL = 3;
/** TLS failed, for another reason than the certificate: OpenSSL's code. */
export const CAUSE_TLS = 4;
/** The provider's certificate: OpenSSL's X509_V_ERR. */
export const CAUSE_CERTIFICATE = 5;

/** Begins receiving: `onEvents` is called when there are records, in a turn of the loop and never from inside of a call to the binding. */
export function openUpstream(
  binding: UpstreamBinding,
  onEvents: () => void,
  droppedNames: readonly string[],
): UpstreamEvents {
  return binding.upstreamOpen(onEvents, droppedNames, UPSTREAM_HEADER_BYTES_MAX, UPSTREAM_CONNECTIONS_MAX);
}
