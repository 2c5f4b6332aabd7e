/** Byte strings of fixed size, as records hold them: one length byte, then UTF-8, then zeros. Leaf; any thread. */

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** `text` as a block of `bytes` (2 to 256) bytes; a longer text is cut at a character border. */
export function encodeLabel(text: string, bytes: number): Uint8Array {
  const block = new Uint8Array(bytes);
  block[0] = encoder.encodeInto(text, block.subarray(1)).written;
  return block;
}

/** The text of the label block that starts at `offset`. */
export function decodeLabel(block: Uint8Array, offset: number): string {
  const length = block[offset] ?? 0;
  return decoder.decode(block.subarray(offset + 1, offset + 1 + length));
}
