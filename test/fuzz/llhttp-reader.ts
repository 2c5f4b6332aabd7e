/**
 * The parser of node:http, llhttp in its strict mode, called as node:http does it but without sockets, so that it reads many
 * thousands of responses in a second.
 */
import { type Delivery, headOf, type Reader, type Reading } from "./http-reading.ts";

interface Binding {
  readonly HTTPParser: {
    new (): LlhttpParser;
    readonly RESPONSE: number;
    readonly kLenientNone: number;
    readonly kOnHeaders: number;
    readonly kOnHeadersComplete: number;
    readonly kOnBody: number;
    readonly kOnMessageComplete: number;
  };
}

interface LlhttpParser {
  initialize(type: number, resource: object, headerBytesMax: number, lenient: number): void;
  execute(bytes: Uint8Array): number | Error;
  finish(): Error | undefined;
  close(): void;
  [callback: number]: unknown;
}

const HEADER_BYTES_MAX = 1_048_576;
/** What onHeadersComplete answers when a body is not to be expected. */
const SKIP_BODY = 1;

const { HTTPParser } = internalBinding();

/** Node warns that its own parser is not for others. It is not for production, indeed. */
function internalBinding(): Binding {
  const { noDeprecation } = process;
  process.noDeprecation = true;
  const { binding } = process as unknown as { binding(name: string): Binding };
  const found = binding("http_parser");
  process.noDeprecation = noDeprecation ?? false;
  return found;
}

/** The final response of one connection. */
class Conversation {
  readonly #headRequest: boolean;
  #rawHeaders: string[] = [];
  #reading: Reading = { outcome: "more", head: null, body: "", reason: "", left: 0 };
  keepsAlive = false;

  constructor(headRequest: boolean) {
    this.#headRequest = headRequest;
  }

  get reading(): Reading {
    return this.#reading;
  }

  attach(parser: LlhttpParser): void {
    parser[HTTPParser.kOnHeaders] = (headers: string[]) => this.#onHeaders(headers);
    parser[HTTPParser.kOnHeadersComplete] = (
      _major: number,
      minor: number,
      headers: string[] | undefined,
      _method: undefined,
      _url: undefined,
      status: number,
      _text: string,
      _upgrade: boolean,
      keepsAlive: boolean,
    ) => this.#onHead(status, minor === 0, headers ?? [], keepsAlive);
    parser[HTTPParser.kOnBody] = (bytes: Buffer) => this.#onBody(bytes);
    parser[HTTPParser.kOnMessageComplete] = () => this.#onEnd();
  }

  /** Called for heads of many lines, and for trailers. */
  #onHeaders(headers: string[]): void {
    if (this.#reading.head === null) this.#rawHeaders.push(...headers);
  }

  #onHead(status: number, http10: boolean, headers: string[], keepsAlive: boolean): number {
    if (this.#reading.head !== null) return SKIP_BODY;
    const rawHeaders = [...this.#rawHeaders, ...headers];
    this.#rawHeaders = [];
    if (status < 200) return SKIP_BODY;
    this.keepsAlive = keepsAlive;
    this.#reading = {
      ...this.#reading,
      head: headOf({ status, http10, rawHeaders, headRequest: this.#headRequest }),
    };
    return this.#headRequest ? SKIP_BODY : 0;
  }

  #onBody(bytes: Buffer): void {
    if (this.#reading.outcome !== "more") return;
    this.#reading = { ...this.#reading, body: this.#reading.body + bytes.toString("latin1") };
  }

  #onEnd(): void {
    if (this.#reading.head !== null) this.#reading = { ...this.#reading, outcome: "end" };
  }

  fail(error: Error): void {
    if (this.#reading.outcome === "more") this.#reading = { ...this.#reading, outcome: "error", reason: error.message };
  }
}

export const readWithLlhttp: Reader = ({ bytes, cuts, headRequest, closes }: Delivery) => {
  const parser = new HTTPParser();
  parser.initialize(HTTPParser.RESPONSE, {}, HEADER_BYTES_MAX, HTTPParser.kLenientNone);
  const conversation = new Conversation(headRequest);
  conversation.attach(parser);
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    const result = parser.execute(bytes.subarray(from, to));
    if (result instanceof Error) conversation.fail(result);
    from = to;
    if (conversation.reading.outcome !== "more") break;
  }
  const unfinished = closes ? parser.finish() : undefined;
  if (unfinished instanceof Error) conversation.fail(unfinished);
  parser.close();
  return conversation.reading;
};

/** One parser for response after response of a connection, with callbacks that do nothing. */
export function idleLlhttp(): (response: Uint8Array) => void {
  const parser = new HTTPParser();
  parser.initialize(HTTPParser.RESPONSE, {}, HEADER_BYTES_MAX, HTTPParser.kLenientNone);
  for (const callback of ["kOnHeaders", "kOnHeadersComplete", "kOnBody", "kOnMessageComplete"] as const) {
    parser[HTTPParser[callback]] = () => 0;
  }
  return (response) => {
    const result = parser.execute(response);
    if (result instanceof Error) throw result;
  };
}
