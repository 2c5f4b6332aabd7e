/** Makes JSON text by grammar: every spelling that RFC 8259 allows, and bodies that look like requests. Pure. */
import type { Random } from "./random.ts";

const SPACES = ["", "", "", "", " ", "\n", "\t", "\r\n", "  \n    "];
const NUMBERS = ["0", "-0", "1", "-17", "0.5", "1e5", "1E+400", "-1.25e-3", "12345678901234567890", "0e0", "3.0"];
const PIECES = [
  "a",
  "usage",
  " ",
  "é",
  "日本",
  "😀",
  '\\"',
  "\\\\",
  "\\/",
  "\\n",
  "\\t",
  "\\u0041",
  "\\uD83D",
  "\\udE00",
];
const BRACES = ["{", "}", "[", "]", ":", ",", "true", "data:"];
const KEYS = ["messages", "content", "temperature", "tools", "metadata", "Model", "stream ", "", "data", "__proto__"];
const MODELS = ['"gpt-4o"', '"a/b:c"', '"gpt\\u002d4o"', '"mod\\"el"', '""', '"日本"'];
const ROUTED = ["model", "stream", "stream_options", "include_usage"];
const BORDERS = [30, 31, 32, 33, 62, 63, 64, 65, 127, 128, 129];

export class JsonMaker {
  private readonly random: Random;

  constructor(random: Random) {
    this.random = random;
  }

  /** A whole document, most often an object with some routing members. */
  document(): string {
    const root = this.random.chance(0.95) ? this.request() : this.value(4);
    return this.space() + root + this.space();
  }

  request(): string {
    const members = this.random.several(6, () => this.member(this.key(), this.value(5)));
    if (this.random.chance(0.8)) members.push(this.member(this.spelled("model"), this.model()));
    if (this.random.chance(0.6)) members.push(this.member(this.spelled("stream"), this.flag()));
    if (this.random.chance(0.6)) members.push(this.member(this.spelled("stream_options"), this.options()));
    if (this.random.chance(0.1)) members.push(this.member(this.spelled(this.random.pick(ROUTED)), this.value(2)));
    return this.container("{", this.shuffled(members), "}");
  }

  value(depth: number): string {
    const kind = this.random.below(depth > 0 ? 10 : 6);
    if (kind < 3) return this.string();
    if (kind < 5) return this.random.pick(NUMBERS);
    if (kind < 6) return this.random.pick(["true", "false", "null"]);
    if (kind < 8) {
      const items = this.random.several(5, () => this.value(depth - 1));
      return this.container("[", items, "]");
    }
    const members = this.random.several(5, () => this.member(this.key(), this.value(depth - 1)));
    return this.container("{", members, "}");
  }

  /** A string, at times as long as a vector register or two, give or take a byte. */
  string(): string {
    const pad = this.random.chance(0.2) ? "x".repeat(this.random.pick(BORDERS) - this.random.below(8)) : "";
    const pieces = this.random.several(6, () => this.random.pick(this.random.chance(0.7) ? PIECES : BRACES));
    const text = pieces.join("");
    return `"${this.random.chance(0.5) ? pad + text : text + pad}"`;
  }

  /** A run of containers, closed as they were opened. */
  nested(levels: number): string {
    const opens = Array.from({ length: levels }, () => this.random.chance(0.5));
    const head = opens.map((array) => (array ? "[" : '{"a":')).join("");
    const tail = opens.map((array) => (array ? "]" : "}")).reverse();
    return `${head}0${tail.join("")}`;
  }

  private options(): string {
    if (this.random.chance(0.1)) return this.value(1);
    if (this.random.chance(0.1)) return "null";
    const members = this.random.several(3, () => this.member(this.key(), this.value(2)));
    if (this.random.chance(0.7)) members.push(this.member(this.spelled("include_usage"), this.flag()));
    return this.container("{", this.shuffled(members), "}");
  }

  private model(): string {
    return this.random.chance(0.9) ? this.random.pick(MODELS) : this.value(1);
  }

  private flag(): string {
    return this.random.chance(0.9) ? this.random.pick(["true", "false", "null"]) : this.value(1);
  }

  private key(): string {
    if (this.random.chance(0.03)) return this.spelled(this.random.pick(ROUTED));
    return this.random.chance(0.8) ? `"${this.random.pick(KEYS)}"` : this.string();
  }

  /** The name as a JSON string; one in five times with some letters escaped. */
  private spelled(name: string): string {
    if (this.random.chance(0.8)) return `"${name}"`;
    const letters = Array.from(name, (letter) => (this.random.chance(0.3) ? this.escaped(letter) : letter));
    return `"${letters.join("")}"`;
  }

  private escaped(letter: string): string {
    const hex = letter.charCodeAt(0).toString(16).padStart(4, "0");
    return `\\u${this.random.chance(0.5) ? hex : hex.toUpperCase()}`;
  }

  private member(key: string, value: string): string {
    return `${key}${this.space()}:${this.space()}${value}`;
  }

  private container(open: string, items: readonly string[], close: string): string {
    const spaced = items.map((item) => this.space() + item + this.space());
    return open + (items.length === 0 ? this.space() : spaced.join(",")) + close;
  }

  private shuffled(items: readonly string[]): string[] {
    return items.toSorted(() => this.random.unit() - 0.5);
  }

  private space(): string {
    return this.random.pick(SPACES);
  }
}
