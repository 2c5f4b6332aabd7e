/**
 * The connections that a front hands to the app behind it, by a secret of 16 random bytes. Gateway worker. The secret
 * travels as the client's address in a PROXY header, which the app's parser takes from anybody and at any time: a client
 * that writes such a header itself, or a process that finds the app's socket, does not know one, and is refused.
 */
import { randomBytes } from "node:crypto";

const SECRET_BYTES = 16;

export class Callers {
  readonly #addresses = new Map<string, Uint8Array>();

  /** `address`: of the client, in network order. */
  add(address: Uint8Array): Buffer {
    const secret = randomBytes(SECRET_BYTES);
    this.#addresses.set(secret.toString("latin1"), address);
    return secret;
  }

  remove(secret: Buffer): void {
    this.#addresses.delete(secret.toString("latin1"));
  }

  /** Undefined: nobody of ours. */
  addressOf(secret: ArrayBuffer): Uint8Array | undefined {
    return this.#addresses.get(Buffer.from(secret).toString("latin1"));
  }
}
