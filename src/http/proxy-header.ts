/**
 * The PROXY protocol's header (haproxy.org/download/2.6/doc/proxy-protocol.txt), versions 1 and 2: what a proxy writes in
 * front of a connection to say who its client is. Gateway worker. Pure.
 */
import { isIP } from "node:net";
import { addressBytesOf } from "../base/address.ts";
import { PROXY_HEADER_BYTES_MAX } from "../base/limits.ts";

const NO_ADDRESS = new Uint8Array(0);
const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const TEXT_BEGIN = Buffer.from("PROXY ");
/** A version 1 header with the longest addresses, the line break included. */
const TEXT_BYTES_MAX = 107;
const HEAD_BYTES = 16;
const COMMAND_LOCAL = 0x20;
const COMMAND_PROXY = 0x21;
const TCP4 = 0x11;
const TCP6 = 0x21;
const ADDRESS_BYTES = new Map<number, number>([
  [TCP4, 4],
  [TCP6, 16],
]);

export interface ProxyHeader {
  /** Of the header. */
  readonly bytes: number;
  /** Of the client, in network order; empty: the proxy speaks for itself, or does not say. */
  readonly address: Uint8Array;
}

/** "partial": it may become one with more bytes; "invalid": it never does. */
export function readProxyHeader(bytes: Uint8Array): ProxyHeader | "partial" | "invalid" {
  if (begins(bytes, SIGNATURE)) return bytes.length < HEAD_BYTES ? "partial" : readBinary(bytes);
  return begins(bytes, TEXT_BEGIN) ? readText(bytes) : "invalid";
}

/** As far as there are bytes. */
function begins(bytes: Uint8Array, expected: Uint8Array): boolean {
  const length = Math.min(bytes.length, expected.length);
  return Buffer.compare(bytes.subarray(0, length), expected.subarray(0, length)) === 0;
}

function readBinary(bytes: Uint8Array): ProxyHeader | "partial" | "invalid" {
  const [command, family, high = 0, low = 0] = bytes.subarray(SIGNATURE.length);
  const length = HEAD_BYTES + high * 256 + low;
  if ((command !== COMMAND_LOCAL && command !== COMMAND_PROXY) || length > PROXY_HEADER_BYTES_MAX) return "invalid";
  if (bytes.length < length) return "partial";
  const addressBytes = ADDRESS_BYTES.get(family ?? 0) ?? 0;
  if (command === COMMAND_LOCAL || addressBytes === 0) return { bytes: length, address: NO_ADDRESS };
  // Source and destination, and two ports.
  if (length < HEAD_BYTES + 2 * addressBytes + 4) return "invalid";
  return { bytes: length, address: Uint8Array.from(bytes.subarray(HEAD_BYTES, HEAD_BYTES + addressBytes)) };
}

function readText(bytes: Uint8Array): ProxyHeader | "partial" | "invalid" {
  const text = Buffer.from(bytes.subarray(0, TEXT_BYTES_MAX)).toString("latin1");
  const end = text.indexOf("\r\n");
  if (end === -1) return bytes.length < TEXT_BYTES_MAX ? "partial" : "invalid";
  const line = text.slice(0, end);
  if (/^PROXY UNKNOWN(?: |$)/.test(line)) return { bytes: end + 2, address: NO_ADDRESS };
  const [, family, source = "", target = ""] = /^PROXY TCP([46]) (\S+) (\S+) \d{1,5} \d{1,5}$/.exec(line) ?? [];
  if (family === undefined || isIP(source) !== Number(family) || isIP(target) !== Number(family)) return "invalid";
  return { bytes: end + 2, address: addressBytesOf(source) };
}

/** A version 2 header with 16 bytes as the client's IPv6 address. */
export function proxyHeaderFor(source: Uint8Array): Buffer {
  const header = Buffer.alloc(HEAD_BYTES + 36);
  SIGNATURE.copy(header);
  header[SIGNATURE.length] = COMMAND_PROXY;
  header[SIGNATURE.length + 1] = TCP6;
  header.writeUInt16BE(header.length - HEAD_BYTES, SIGNATURE.length + 2);
  header.set(source, HEAD_BYTES);
  return header;
}
