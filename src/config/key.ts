/**
 * Gateway keys: how one is made, and the only form in which it is kept. Command line and the first start; the plain key
 * exists in memory once, is printed once, and is never stored.
 */
import { createHash, randomBytes } from "node:crypto";

/** A fresh key: 256 random bits behind a prefix that secret scanners can be told about. */
export function newKey(): string {
  return `sk-sluice-${randomBytes(32).toString("base64url")}`;
}

/** SHA-256 of the key, lower-case hex. A key has 256 random bits, so a slow hash would only slow down every request. */
export function hashKey(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}
