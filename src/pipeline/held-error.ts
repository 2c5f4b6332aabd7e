/**
 * A provider's error answer, held until it is whole: some providers quote the credential that they refuse, and that must
 * not reach a client; and some failures are told by the text only, and lead to another try. Gateway worker; one per error answer. Error bodies are small; a larger one is held no longer and its
 * pieces are looked at one by one.
 */
import { UPSTREAM_ERROR_BYTES_MAX } from "../base/limits.ts";

export class HeldError {
  /** Of the answer, for `begin`. */
  readonly head: string;
  /** Bits of the failures that its text may tell; 0: it is not looked at. */
  readonly failures: number;
  readonly #secrets: readonly Buffer[];
  #bytes: Buffer = Buffer.alloc(0);

  constructor(head: string, secrets: readonly Buffer[], failures: number) {
    this.head = head;
    this.failures = failures;
    this.#secrets = secrets;
  }

  /** Holds a chunk; false: it is more than is held, and take() has to be delivered. */
  add(chunk: Buffer): boolean {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    return this.#bytes.length <= UPSTREAM_ERROR_BYTES_MAX;
  }

  get bytes(): Buffer {
    return this.#bytes;
  }

  /** What is held, once. */
  take(): Buffer {
    const bytes = this.#bytes;
    this.#bytes = Buffer.alloc(0);
    return bytes;
  }

  /** Whether a credential of the provider stands in the head or in what is held. */
  get leaks(): boolean {
    return this.#secrets.some(
      (secret) => this.#bytes.includes(secret) || this.head.includes(secret.toString("latin1")),
    );
  }
}
