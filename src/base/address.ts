/** Addresses of clients, in network order: as bytes. Leaf; any thread. */
import { isIP } from "node:net";

const NO_ADDRESS = new Uint8Array(0);
/** Of an address that maps an IPv4 one (RFC 4291 2.5.5.2), the bytes before that, ten of which are 0. */
const MAPPED_BYTES = 12;
const IPV6_BYTES = 16;

/** 4 or 16 bytes; empty for what is not an address. */
export function addressBytesOf(text: string): Uint8Array {
  if (isIP(text) === 4) return Uint8Array.from(text.split("."), Number);
  return isIP(text) === 6 ? ipv6Bytes(text.replace(/%.*$/, "")) : NO_ADDRESS;
}

function ipv6Bytes(text: string): Uint8Array {
  // The URL parser writes an IPv4 tail as two groups.
  const [head = "", tail] = new URL(`http://[${text}]`).hostname.slice(1, -1).split("::");
  const groupsOf = (part: string | undefined) =>
    part ? part.split(":").map((group) => Number.parseInt(group, 16)) : [];
  const [before, after] = [groupsOf(head), groupsOf(tail)];
  const groups = [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]));
}

/** Whether it is an IPv4 address as a socket for both versions has it. */
export function isMapped(bytes: Uint8Array): boolean {
  if (bytes.length !== IPV6_BYTES || bytes[10] !== 255 || bytes[11] !== 255) return false;
  for (let i = 0; i < MAPPED_BYTES - 2; i += 1) if (bytes[i] !== 0) return false;
  return true;
}

/** The bytes of an IPv4 address that is mapped, as without that. */
export function unmapped(bytes: Uint8Array): Uint8Array {
  return isMapped(bytes) ? bytes.subarray(MAPPED_BYTES) : bytes;
}
