/**
 * What the request scan must say about a body, by JSON.parse and a plain walk over the members of a document that
 * JSON.parse took. Slow and obvious on purpose. Pure.
 */
import {
  SCAN_DUPLICATE,
  SCAN_FIELDS,
  SCAN_INVALID,
  SCAN_NOT_OBJECT,
  SCAN_OK,
  SCAN_TOO_DEEP,
  SCAN_UTF8,
  SCAN_WRONG_TYPE,
} from "../../src/providers/request-scan.ts";

/** What both sides say about an accepted body. Offsets are -1 when the member is absent. */
export interface Fields {
  objectStart: number;
  modelStart: number;
  modelEnd: number;
  modelEscaped: boolean;
  stream: boolean;
  optionsStart: number;
  optionsEnd: number;
  optionsNull: boolean;
  optionsEmpty: boolean;
  includeUsageStart: number;
  includeUsageEnd: number;
  includeUsage: boolean;
}

/** `codes`: any of them is right. `field`: number of the field at fault, where there is one. */
export interface Expected {
  readonly codes: readonly number[];
  readonly field: number;
  readonly fields: Fields;
}

interface Member {
  readonly key: string;
  readonly start: number;
  readonly end: number;
  /** The value as in the document. */
  readonly text: string;
}

const NO_FIELDS: Fields = {
  objectStart: -1,
  modelStart: -1,
  modelEnd: -1,
  modelEscaped: false,
  stream: false,
  optionsStart: -1,
  optionsEnd: -1,
  optionsNull: false,
  optionsEmpty: false,
  includeUsageStart: -1,
  includeUsageEnd: -1,
  includeUsage: false,
};
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const SPACE = /[ \n\r\t]*/y;
const SCALAR = /[^,\]} \n\r\t]*/y;
const STRING = /"(?:[^"\\]|\\.)*"/sy;

export function expectedOf(body: Uint8Array, depthMax: number): Expected {
  const text = decoded(body);
  if (text === null) return refusal([SCAN_UTF8, SCAN_INVALID, SCAN_DUPLICATE, SCAN_WRONG_TYPE, SCAN_TOO_DEEP]);
  const root = parsed(text);
  if (root === undefined) return refusal([SCAN_INVALID, SCAN_DUPLICATE, SCAN_WRONG_TYPE, SCAN_TOO_DEEP]);
  if (depthOf(text) > depthMax) return refusal([SCAN_TOO_DEEP, SCAN_DUPLICATE, SCAN_WRONG_TYPE]);
  // One character per byte from here on, so that positions are byte offsets.
  const bytes = Buffer.from(body).toString("latin1");
  return bytes.trimStart().startsWith("{") ? new Members(bytes).expected() : refusal([SCAN_NOT_OBJECT]);
}

/** Of a valid body: where the value of `stream` begins; -1: there is none. */
export function streamStartOf(body: Uint8Array): number {
  const bytes = Buffer.from(body).toString("latin1");
  return membersOf(bytes, bytes.indexOf("{")).find(({ key }) => key === "stream")?.start ?? -1;
}

function refusal(codes: readonly number[], field = 0): Expected {
  return { codes, field, fields: NO_FIELDS };
}

function decoded(body: Uint8Array): string | null {
  try {
    return decoder.decode(body);
  } catch {
    return null;
  }
}

/** The value, or undefined for what is not JSON. */
function parsed(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch {
    return undefined;
  }
}

/** Containers open at once, of valid JSON. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/gs)) {
    if (token === "{" || token === "[") depth += 1;
    if (token === "}" || token === "]") depth -= 1;
    deepest = Math.max(deepest, depth);
  }
  return deepest;
}

/** The first part of `text` at `at` that `pattern` (sticky) matches; empty when there is none. */
function match(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? "";
}

function lower(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** The members of one valid document that matter to routing, in their order. */
class Members {
  private readonly text: string;
  private readonly fields: Fields = { ...NO_FIELDS };
  private readonly seen = new Set<string>();

  constructor(text: string) {
    this.text = text;
  }

  expected(): Expected {
    this.fields.objectStart = this.text.indexOf("{");
    for (const member of membersOf(this.text, this.fields.objectStart)) {
      const wrong = this.take(member);
      if (wrong !== null) return wrong;
    }
    return { codes: [SCAN_OK], field: 0, fields: this.fields };
  }

  private take(member: Member): Expected | null {
    if (member.key === "model") return this.fault("model", /^"/, member) ?? this.takeModel(member);
    if (member.key === "stream") return this.fault("stream", /^[tfn]/, member) ?? this.takeStream(member);
    if (member.key === "stream_options") {
      return this.fault("stream_options", /^[{n]/, member) ?? this.takeOptions(member);
    }
    // In other case it is not the field, but its repetition.
    const name = lower(member.key);
    const routed = name === "model" || name === "stream" || name === "stream_options";
    return routed ? this.fault(name, /^/, member) : null;
  }

  private fault(name: (typeof SCAN_FIELDS)[number], type: RegExp, member: Member): Expected | null {
    if (this.seen.has(name)) return refusal([SCAN_DUPLICATE], SCAN_FIELDS.indexOf(name));
    this.seen.add(name);
    return type.test(member.text) ? null : refusal([SCAN_WRONG_TYPE], SCAN_FIELDS.indexOf(name));
  }

  private takeModel(member: Member): null {
    this.fields.modelStart = member.start;
    this.fields.modelEnd = member.end;
    this.fields.modelEscaped = member.text.includes("\\");
    return null;
  }

  private takeStream(member: Member): null {
    this.fields.stream = member.text === "true";
    return null;
  }

  private takeOptions(member: Member): Expected | null {
    this.fields.optionsStart = member.start;
    this.fields.optionsEnd = member.end;
    this.fields.optionsNull = member.text === "null";
    this.fields.optionsEmpty = /^\{\s*\}$/.test(member.text);
    if (this.fields.optionsNull) return null;
    for (const inner of membersOf(this.text, member.start)) {
      const wrong = lower(inner.key) === "include_usage" ? this.takeIncludeUsage(inner) : null;
      if (wrong !== null) return wrong;
    }
    return null;
  }

  private takeIncludeUsage(member: Member): Expected | null {
    if (member.key !== "include_usage") return this.fault("stream_options.include_usage", /^/, member);
    this.fields.includeUsageStart = member.start;
    this.fields.includeUsageEnd = member.end;
    this.fields.includeUsage = member.text === "true";
    return this.fault("stream_options.include_usage", /^[tfn]/, member);
  }
}

/** The members of the object that starts at `open`. */
function membersOf(text: string, open: number): Member[] {
  const members: Member[] = [];
  let at = afterSpace(text, open + 1);
  while (text[at] !== "}") {
    if (text[at] === ",") at = afterSpace(text, at + 1);
    const quoted = match(STRING, text, at);
    const start = afterSpace(text, afterSpace(text, at + quoted.length) + 1);
    const end = valueEnd(text, start);
    members.push({ key: JSON.parse(quoted), start, end, text: text.slice(start, end) });
    at = afterSpace(text, end);
  }
  return members;
}

function afterSpace(text: string, at: number): number {
  return at + match(SPACE, text, at).length;
}

function valueEnd(text: string, start: number): number {
  const c = text[start] ?? "";
  if (c === '"') return start + match(STRING, text, start).length;
  return "{[".includes(c) ? containerEnd(text, start) : start + match(SCALAR, text, start).length;
}

function containerEnd(text: string, start: number): number {
  let depth = 0;
  for (let at = start; ; at += 1) {
    const c = text[at] ?? "";
    if (c === '"') at += match(STRING, text, at).length - 1;
    else if ("{[".includes(c)) depth += 1;
    else if ("}]".includes(c)) depth -= 1;
    if (depth === 0) return at + 1;
  }
}
