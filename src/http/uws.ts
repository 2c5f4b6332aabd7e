/**
 * uWebSockets.js as the edge uses it. Its own types are written for every use; these name only the calls that this folder
 * makes. Loaded in gateway workers only: a process or thread that exits with an open handle of it aborts.
 */

import {
  App as NativeApp,
  type us_listen_socket,
  us_listen_socket_close,
  type us_socket,
  us_socket_local_port,
} from "uWebSockets.js";
import { assert } from "../base/assert.ts";
import { native } from "../native/native.ts";

/** Valid until an answer ended or the abort was told; any later use throws. */
export interface UwsResponse {
  /** Writes "HTTP/1.1 ", `status` and CRLF as they are, unchecked. */
  writeStatus(status: string | Uint8Array): unknown;
  end(body?: Uint8Array | string, closeConnection?: boolean): unknown;
  endWithoutBody(): unknown;
  tryEnd(chunk: Uint8Array, totalBytes: number): [boolean, boolean];
  close(): unknown;
  getWriteOffset(): number;
  onWritable(handler: (offset: number) => boolean): unknown;
  onAborted(handler: () => void): unknown;
  onData(handler: (chunk: ArrayBuffer, isLast: boolean) => void): unknown;
  getRemoteAddress(): ArrayBuffer;
  /** Of the last PROXY v2 header on this connection, whoever wrote it; empty: there was none. */
  getProxiedRemoteAddress(): ArrayBuffer;
  cork(write: () => void): unknown;
}

/** Valid during the handler only, and read by the addon only. */
export type UwsRequest = object;

export type ListenSocket = us_listen_socket;

export interface UwsApp {
  any(pattern: string, handler: (response: UwsResponse, request: UwsRequest) => void): unknown;
  listen(host: string, port: number, done: (socket: ListenSocket | false) => void): unknown;
  close(): unknown;
}

export function newApp(): UwsApp {
  assert(native.isKnownUws(), "native/uws-memory.h has the memory layout of the uWebSockets.js that is installed");
  return NativeApp();
}

/** Of a listening socket; its type has no name of its own for that. */
export function portOf(socket: ListenSocket): number {
  return us_socket_local_port(socket as us_socket);
}

export const closeListenSocket: (socket: ListenSocket) => void = us_listen_socket_close;
