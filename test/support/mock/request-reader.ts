/**
 * Reads HTTP/1.1 requests from a raw socket, keeping the exact bytes of head and body. Runs in the mock provider's
 * process. Strict: what it does not understand throws, so that a gateway which frames badly is seen.
 */

export interface ReceivedHead {
  /** Exact bytes from the request line to the empty line. */
  readonly raw: Buffer;
  readonly method: string;
  readonly target: string;
  /** Names as sent, in order. */
  readonly headers: readonly (readonly [string, string])[];
}

export interface ReaderEvents {
  head(head: ReceivedHead): void;
  body(bytes: Buffer): void;
  end(): void;
}

type Phase = "head" | "length" | "chunk-size" | "chunk-data" | "chunk-end" | "trailer";

const HEAD_END = "\r\n\r\n";
const LINE_END = "\r\n";

export class RequestReader {
  private readonly events: ReaderEvents;
  private buffered: Buffer = Buffer.alloc(0);
  private phase: Phase = "head";
  private left = 0;

  constructor(events: ReaderEvents) {
    this.events = events;
  }

  push(bytes: Buffer): void {
    this.buffered = this.buffered.length === 0 ? bytes : Buffer.concat([this.buffered, bytes]);
    while (this.step());
  }

  /** Takes one unit out of the buffer; false: more bytes are needed. */
  private step(): boolean {
    if (this.phase === "head") return this.readHead();
    if (this.phase === "length" || this.phase === "chunk-data") return this.readBody();
    if (this.phase === "chunk-size") return this.readChunkSize();
    return this.readChunkEnd();
  }

  private readHead(): boolean {
    const raw = this.takeUntil(HEAD_END);
    if (raw === null) return false;
    const head = parseHead(raw);
    this.events.head(head);
    this.beginBody(head);
    return true;
  }

  private beginBody(head: ReceivedHead): void {
    const encoding = headerOf(head, "transfer-encoding");
    this.left = Number(headerOf(head, "content-length") ?? 0);
    if (encoding === "chunked") this.phase = "chunk-size";
    else if (encoding !== undefined || !Number.isInteger(this.left)) throw new Error(`bad framing: ${encoding}`);
    else if (this.left > 0) this.phase = "length";
    else this.finish();
  }

  private readBody(): boolean {
    if (this.buffered.length === 0) return false;
    const taken = this.take(Math.min(this.left, this.buffered.length));
    this.left -= taken.length;
    this.events.body(taken);
    if (this.left > 0) return true;
    if (this.phase === "length") this.finish();
    else this.phase = "chunk-end";
    return true;
  }

  private readChunkSize(): boolean {
    const line = this.takeUntil(LINE_END);
    if (line === null) return false;
    const size = line.toString("latin1").trim();
    if (!/^[0-9a-f]{1,8}$/i.test(size)) throw new Error(`bad chunk size: ${size}`);
    this.left = Number.parseInt(size, 16);
    this.phase = this.left > 0 ? "chunk-data" : "trailer";
    return true;
  }

  private readChunkEnd(): boolean {
    const line = this.takeUntil(LINE_END);
    if (line === null) return false;
    if (line.length !== LINE_END.length) throw new Error("bytes between chunks");
    if (this.phase === "trailer") this.finish();
    else this.phase = "chunk-size";
    return true;
  }

  private finish(): void {
    this.phase = "head";
    this.events.end();
  }

  private takeUntil(mark: string): Buffer | null {
    const at = this.buffered.indexOf(mark);
    return at < 0 ? null : this.take(at + mark.length);
  }

  private take(bytes: number): Buffer {
    const taken = this.buffered.subarray(0, bytes);
    this.buffered = this.buffered.subarray(bytes);
    return taken;
  }
}

/** The first value of a header, by lower-case name. */
export function headerOf(head: Pick<ReceivedHead, "headers">, name: string): string | undefined {
  return head.headers.find(([key]) => key.toLowerCase() === name)?.[1];
}

function parseHead(raw: Buffer): ReceivedHead {
  const [requestLine = "", ...lines] = raw.toString("latin1").slice(0, -HEAD_END.length).split(LINE_END);
  const match = /^([A-Z]+) (\S+) HTTP\/1\.1$/.exec(requestLine);
  if (match === null) throw new Error(`bad request line: ${requestLine}`);
  return { raw, method: match[1] ?? "", target: match[2] ?? "", headers: lines.map(parseLine) };
}

function parseLine(line: string): readonly [string, string] {
  const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line);
  if (match === null) throw new Error(`bad header line: ${line}`);
  return [match[1] ?? "", match[2] ?? ""];
}
