/** Makes HTTP/1.1 responses as servers send them, and as attackers do. The same Random gives the same responses. */
import type { Random } from "./random.ts";

const STATUSES = [200, 200, 200, 201, 204, 205, 304, 400, 404, 429, 500, 503, 599];
const NAMES = [
  "Content-Type",
  "content-type",
  "Content-Encoding",
  "X-Request-ID",
  "Date",
  "X-Dropped",
  "openai-processing-ms",
  "x-ratelimit-remaining-requests",
  "X_under.score~!#$%&'*+^`|",
  "a",
  "keep-alive",
  "Content-Lengths",
  "Content-Lengt",
  "Transfer-Encodin",
  "x-a-name-that-is-longer-than-thirty-two-characters",
];
const VALUES = [
  "",
  "application/json",
  "text/event-stream; charset=utf-8",
  "gzip",
  "identity",
  "a b\tc",
  "\u00e9\u00ff\u0080",
  "x".repeat(15),
  "y".repeat(16),
  "z".repeat(200),
  '"quoted, text"',
  "2026",
  "close",
  "0",
];
const BLANKS = ["", " ", "  ", "\t", " \t "];
const CONNECTIONS = [
  "close",
  "keep-alive",
  "Keep-Alive",
  "CLOSE",
  "keep-alive, close",
  "close,keep-alive",
  "a",
  "keep-alive,\ta , date",
  "upgrade",
  ",, close ,",
  "clos",
  "closed",
  "x close",
  "Content-Type",
  "",
];
const EXTENSIONS = ["", "", "", ";a", ";a=b", ';a="b"', ';a="b;\\"c"', ";a=b;c=d;e"];
const BODY_BYTES = 40;
const LARGE_BODY_BYTES = 5_000;

export interface MadeResponse {
  readonly bytes: Buffer;
  readonly headRequest: boolean;
}

export class HttpResponseMaker {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Framed as RFC 9112 says, also in ways that few servers choose. */
  valid(): MadeResponse {
    const random = this.#random;
    const headRequest = random.chance(0.1);
    const status = random.pick(STATUSES);
    const http10 = random.chance(0.1);
    const bodyless = headRequest || status === 304 || status === 204;
    const framing = random.pick(http10 || status === 204 ? ["length", "close"] : ["length", "chunked", "close"]);
    const content = this.#text(random.chance(0.02) ? LARGE_BODY_BYTES : random.below(BODY_BYTES));
    const length = status === 204 ? 0 : content.length;
    const framed =
      framing === "length"
        ? [`${this.#cased("Content-Length")}:${this.#around(String(length))}`]
        : framing === "chunked"
          ? [`${this.#cased("Transfer-Encoding")}:${random.pick(["", " ", "\t"])}${this.#cased("chunked")}`]
          : [];
    const head = this.#head(http10 ? "1.0" : "1.1", status, [...framed, ...this.#headers(), ...this.#connection()]);
    const body = bodyless ? "" : framing === "chunked" ? this.#chunked(content) : content;
    const informational = http10 ? "" : this.#informational();
    return { bytes: Buffer.from(`${informational}${head}${body}`, "latin1"), headRequest };
  }

  /** Any framing with any body: what a broken or a hostile server sends. */
  hostile(): MadeResponse {
    const random = this.#random;
    const framed = [...Array(random.below(4))].map(() => this.#anyFraming());
    const content = this.#text(random.below(BODY_BYTES));
    const body = random.pick([content, this.#chunked(content), `5\r\n${content}`, "0\r\n\r\n", ""]);
    const status = random.pick(random.chance(0.9) ? STATUSES : [100, 101, 102, 103, 199, 0, 99, 600, 999]);
    const version = random.pick(random.chance(0.9) ? ["1.1", "1.1", "1.0"] : ["0.9", "2.0", "1.2"]);
    const head = this.#head(version, status, [
      ...this.#headers(),
      ...this.#shuffled([...framed, ...this.#connection()]),
    ]);
    const more = random.chance(0.3) ? this.valid().bytes.toString("latin1") : "";
    return { bytes: Buffer.from(`${head}${body}${more}`, "latin1"), headRequest: random.chance(0.1) };
  }

  #head(version: string, status: number, lines: readonly string[]): string {
    const reason = this.#random.pick([" OK", "", " ", " Not  here", " \u00fc\t"]);
    return `HTTP/${version} ${String(status).padStart(3, "0")}${reason}\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`;
  }

  #headers(): string[] {
    const count = this.#random.pick([0, 2, 5, 50]);
    return this.#random.several(
      count + 1,
      () => `${this.#random.pick(NAMES)}:${this.#around(this.#random.pick(VALUES))}`,
    );
  }

  #connection(): string[] {
    return this.#random.several(
      3,
      () => `${this.#cased("Connection")}:${this.#around(this.#random.pick(CONNECTIONS))}`,
    );
  }

  #anyFraming(): string {
    const random = this.#random;
    const length = random.pick([
      "0",
      "5",
      "7",
      "5",
      "05",
      "+5",
      "-5",
      "5,5",
      "5 5",
      "",
      "0x5",
      "1e1",
      "999999999999999",
      "9".repeat(20),
    ]);
    const coding = random.pick([
      "chunked",
      "Chunked",
      "chunked, chunked",
      "gzip, chunked",
      "identity",
      "chunke",
      "",
      '"chunked"',
    ]);
    const name = random.pick(["Content-Length", "Transfer-Encoding"]);
    const colon = random.chance(0.95) ? ":" : random.pick([" :", "\t:", ""]);
    return `${this.#cased(name)}${colon}${this.#around(name === "Content-Length" ? length : coding)}`;
  }

  /** 1xx before the answer. */
  #informational(): string {
    return this.#random
      .several(3, () => `HTTP/1.1 ${this.#random.pick([100, 102, 103, 104, 199])} Yes\r\nLink: </a>\r\n\r\n`)
      .join("");
  }

  #chunked(content: string): string {
    const random = this.#random;
    let text = "";
    for (let at = 0; at < content.length; ) {
      const size = Math.min(1 + random.below(random.pick([2, 20, 3_000])), content.length - at);
      text += `${this.#hex(size)}${random.pick(EXTENSIONS)}\r\n${content.slice(at, at + size)}\r\n`;
      at += size;
    }
    const trailers = random.several(3, () => `${random.pick(NAMES)}:${this.#around(random.pick(VALUES))}\r\n`);
    return `${text}${"0".repeat(1 + random.below(3))}${random.pick(EXTENSIONS)}\r\n${trailers.join("")}\r\n`;
  }

  #hex(size: number): string {
    return this.#cased("0".repeat(this.#random.below(3)) + size.toString(16));
  }

  #cased(text: string): string {
    const { length } = text;
    return this.#random.pick([
      text,
      text,
      text.toLowerCase(),
      text.toUpperCase(),
      text.slice(0, length / 2) + text.slice(length / 2).toUpperCase(),
    ]);
  }

  #around(value: string): string {
    return this.#random.pick(BLANKS) + value + this.#random.pick(BLANKS);
  }

  #shuffled<T>(items: readonly T[]): T[] {
    return items
      .map((item) => ({ item, key: this.#random.unit() }))
      .sort((a, b) => a.key - b.key)
      .map(({ item }) => item);
  }

  /** Any bytes, line ends and digits among them. */
  #text(length: number): string {
    const random = this.#random;
    return Array.from({ length }, () =>
      String.fromCharCode(random.chance(0.2) ? random.pick([13, 10, 48, 59]) : random.below(256)),
    ).join("");
  }
}
