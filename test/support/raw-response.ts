/** Reads HTTP/1.1 responses out of bytes, strictly, so that tests see exactly what a client is sent. Pure. */

export interface RawResponse {
  readonly status: number;
  /** Exact head without its last empty line. */
  readonly head: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer;
  /** Whether the framing says that the body ended; false: it was cut. */
  readonly complete: boolean;
}

interface Body {
  readonly bytes: Buffer;
  readonly complete: boolean;
  /** Bytes of the connection that it took. */
  readonly length: number;
}

/** The first final response in `bytes`, with the number of bytes it took; null: more are needed. */
export function parseResponse(bytes: Buffer, bodyless: boolean, closed: boolean): [RawResponse, number] | null {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd < 0) return null;
  const head = bytes.subarray(0, headEnd).toString("latin1");
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0);
  const rest = bytes.subarray(headEnd + 4);
  if (status >= 100 && status < 200) return afterInformational(rest, bodyless, closed, headEnd + 4);
  const headers = head.split("\r\n").slice(1).map(parseLine);
  const empty = bodyless || status === 204 || status === 304;
  const body = empty ? { bytes: Buffer.alloc(0), complete: true, length: 0 } : parseBody(headers, rest, closed);
  if (!body.complete && !closed) return null;
  return [{ status, head, headers, body: body.bytes, complete: body.complete }, headEnd + 4 + body.length];
}

/** All values of a header, joined with a comma; empty: it is not there. */
export function headerOf(response: Pick<RawResponse, "headers">, name: string): string {
  const found = response.headers.filter(([key]) => key.toLowerCase() === name);
  return found.map(([, value]) => value).join(",");
}

function afterInformational(
  rest: Buffer,
  bodyless: boolean,
  closed: boolean,
  skipped: number,
): [RawResponse, number] | null {
  const found = parseResponse(rest, bodyless, closed);
  return found === null ? null : [found[0], found[1] + skipped];
}

function parseLine(line: string): readonly [string, string] {
  const colon = line.indexOf(":");
  return [line.slice(0, colon), line.slice(colon + 1).trim()];
}

function parseBody(headers: RawResponse["headers"], rest: Buffer, closed: boolean): Body {
  if (headerOf({ headers }, "transfer-encoding") === "chunked") return parseChunks(rest);
  const length = headerOf({ headers }, "content-length");
  if (length === "") return { bytes: rest, complete: closed, length: rest.length };
  const bytes = rest.subarray(0, Number(length));
  return { bytes, complete: bytes.length === Number(length), length: bytes.length };
}

function parseChunks(rest: Buffer): Body {
  const chunks: Buffer[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = rest.indexOf("\r\n", at);
    const size = lineEnd < 0 ? Number.NaN : Number.parseInt(rest.subarray(at, lineEnd).toString("latin1"), 16);
    const end = lineEnd + 2 + size;
    if (Number.isNaN(size) || rest.length < end + 2) return unfinished(chunks, rest, lineEnd, size);
    if (size === 0) return { bytes: Buffer.concat(chunks), complete: true, length: end + 2 };
    chunks.push(rest.subarray(lineEnd + 2, end));
    at = end + 2;
  }
}

function unfinished(chunks: Buffer[], rest: Buffer, lineEnd: number, size: number): Body {
  if (size > 0) chunks.push(rest.subarray(lineEnd + 2, lineEnd + 2 + size));
  return { bytes: Buffer.concat(chunks), complete: false, length: rest.length };
}
