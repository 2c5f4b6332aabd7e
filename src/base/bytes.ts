/** Byte strings of fixed size, as records hold them: one length byte, then UTF-8, then zeros. Leaf; any thread. */
import { hash } from "node:crypto";

/** Hex digits of a long text's hash: two of 2^24 texts meet with a chance of one in two thousand. */
const DIGEST_CHARS = 14;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * `text` as a block of `bytes` (17 to 256) bytes. Of a longer text the beginning stays, and "~" and a hash of all of it follow:
 * fine-tuned models differ at their end, and must not become one in a report.
 */
export function encodeLabel(text: string, bytes: number): Uint8Array {
  const block = new Uint8Array(bytes);
  const { read, written } = encoder.encodeInto(text, block.subarray(1));
  block[0] = written;
  return read === text.length ? block : encodeLong(text, bytes);
}

function encodeLong(text: string, bytes: number): Uint8Array {
  const block = new Uint8Array(bytes);
  const end = `~${hash("sha256", text, "hex").slice(0, DIGEST_CHARS)}`;
  const { written } = encoder.encodeInto(text, block.subarray(1, bytes - end.length));
  block[0] = written + encoder.encodeInto(end, block.subarray(1 + written)).written;
  return block;
}

/** The text of the label block that starts at `offset`. */
export function decodeLabel(block: Uint8Array, offset: number): string {
  const length = block[offset] ?? 0;
  return decoder.decode(block.subarray(offset + 1, offset + 1 + length));
}
