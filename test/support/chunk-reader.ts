/**
 * Reads a body in chunks as Python's urllib3 does, hence `requests`: a chunk is not the caller's until the line break behind it was read.
 * Strict, and pure.
 */
const SIZE = /^[0-9a-f]{1,8}$/i;
const LINE_BREAK_BYTES = 2;

export class ChunkReader {
  /** The empty chunk was there, with its line breaks; what comes then is of the next answer. */
  ended = false;
  #bytes: Buffer = Buffer.alloc(0);

  /** The chunks that these bytes complete. Throws on what is no chunk. */
  read(bytes: Buffer): Buffer[] {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    const chunks: Buffer[] = [];
    for (let chunk = this.#next(); chunk !== null; chunk = this.#next()) chunks.push(chunk);
    return chunks;
  }

  /** Bytes of a chunk that is not whole, or behind the end. */
  get rest(): Buffer {
    return this.#bytes;
  }

  #next(): Buffer | null {
    const lineEnd = this.#bytes.indexOf("\r\n");
    if (this.ended || lineEnd < 0) return null;
    const digits = this.#bytes.toString("latin1", 0, lineEnd);
    if (!SIZE.test(digits)) throw new Error(`${JSON.stringify(digits)} is not the size of a chunk`);
    const start = lineEnd + LINE_BREAK_BYTES;
    const end = start + Number.parseInt(digits, 16);
    if (this.#bytes.length < end + LINE_BREAK_BYTES) return null;
    if (this.#bytes.toString("latin1", end, end + LINE_BREAK_BYTES) !== "\r\n")
      throw new Error("a chunk is longer than it says");
    const chunk = this.#bytes.subarray(start, end);
    this.#bytes = this.#bytes.subarray(end + LINE_BREAK_BYTES);
    this.ended = chunk.length === 0;
    return this.ended ? null : chunk;
  }
}
