/** Client addresses as text. Pool tasks only. */
import { isMapped } from "../base/address.ts";

/** 4 or 16 bytes in network order as people write them (RFC 5952); an IPv4-mapped address as IPv4; else "". */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) return "";
  return isMapped(bytes) ? bytes.subarray(12).join(".") : formatIpv6(bytes);
}

/** The URL parser is the one RFC 5952 serializer that Node has. */
function formatIpv6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
  );
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}
