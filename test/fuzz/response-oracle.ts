/**
 * What the response scan must find in a whole answer: the events cut out as WHATWG HTML 9.2.6 says, JSON.parse over the
 * data of each, and the figures where the providers' documents put them. Slow and obvious on purpose. Pure.
 */
import { SEEN_ERROR, SEEN_FINISH, SEEN_JSON, SEEN_TERMINAL, SEEN_USAGE } from "../../src/providers/response-scan.ts";

export interface Totals {
  inputTokens: number;
  outputTokens: number;
  cachedTokens: number;
  reasoningTokens: number;
}

/** One event with its place in the stream. `data`: its data lines joined; null: it has none. */
export interface SentEvent {
  readonly start: number;
  readonly end: number;
  readonly data: string | null;
}

export interface Found {
  flags: number;
  readonly totals: Totals;
  /** Bytes and pieces of what the model wrote. */
  contentBytes: number;
  deltas: number;
  /** The first event that only carries usage. */
  strip: SentEvent | null;
}

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

const TOKENS_MAX = 1e12;
const TERMINAL_TYPES = ["response.completed", "response.failed", "response.incomplete", "error"];
const CONTENT = ["content", "reasoning_content", "reasoning", "refusal", "text", "arguments"];
const LINE = /([^\r\n]*)(\r\n|\r|\n)/g;

/** The events of a stream that ended; what follows the last empty line is no event. */
export function eventsOf(stream: string): SentEvent[] {
  const events: SentEvent[] = [];
  let lines: string[] = [];
  let start = 0;
  for (const { 0: whole, 1: line = "", index } of stream.matchAll(LINE)) {
    if (line !== "") {
      lines.push(line);
      continue;
    }
    if (lines.length > 0) events.push({ start, end: index + whole.length, data: dataOf(lines) });
    lines = [];
    start = index + whole.length;
  }
  return events;
}

/** `stream`: bytes as characters (latin1), so that positions are byte offsets. */
export function foundInEvents(stream: string): Found {
  const found = nothingFound();
  for (const event of eventsOf(stream)) {
    if (event.data === null) continue;
    if (event.data.trim() === "[DONE]") found.flags |= SEEN_TERMINAL;
    const usageOnly = foundInDocument(event.data, found);
    if (usageOnly && found.strip === null) found.strip = event;
  }
  return found;
}

/** Adds what one document says to `found`; whether it has usage and "choices": []. */
export function foundInDocument(document: string, found: Found): boolean {
  const root = parsed(document);
  if (root === undefined) return false;
  found.flags |= SEEN_JSON;
  if (!isObject(root)) return false;
  takeFlags(root, found);
  takeContent(root, [], found);
  const response = root["response"];
  const groq = root["x_groq"];
  const holders = [root, response, groq].filter((holder) => isObject(holder));
  const usages = holders.map((holder) => holder["usage"]);
  for (const usage of usages) takeUsage(usage, found.totals);
  const withUsage = usages.filter(isGiven);
  if (withUsage.length > 0 && withUsage.every(isRight)) found.flags |= SEEN_USAGE;
  const choices = root["choices"];
  return withUsage.length > 0 && Array.isArray(choices) && choices.length === 0;
}

export function nothingFound(): Found {
  const totals = { inputTokens: 0, outputTokens: 0, cachedTokens: 0, reasoningTokens: 0 };
  return { flags: 0, totals, contentBytes: 0, deltas: 0, strip: null };
}

function dataOf(lines: readonly string[]): string | null {
  const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).replace(/^ /, ""));
  return data.length > 0 ? data.join("\n") : null;
}

function parsed(text: string): Json | undefined {
  try {
    const value: Json = JSON.parse(text);
    return value;
  } catch {
    return undefined;
  }
}

function isObject(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function takeFlags(root: { readonly [key: string]: Json }, found: Found): void {
  const { error, type } = root;
  if (typeof error === "string" || isObject(error)) found.flags |= SEEN_ERROR;
  if (typeof type === "string" && TERMINAL_TYPES.includes(type)) found.flags |= SEEN_TERMINAL;
}

const INPUTS = ["prompt_tokens", "input_tokens"];
const OUTPUTS = ["completion_tokens", "output_tokens"];

/** The numbers of input and output that a usage has. */
function numbersIn(usage: Json | undefined): number[] {
  const values = isObject(usage) ? [...INPUTS, ...OUTPUTS].map((name) => usage[name]) : [];
  return values.filter((value) => typeof value === "number");
}

function isGiven(usage: Json | undefined): boolean {
  return numbersIn(usage).length > 0;
}

/** A provider that counts wrongly in one place is not believed in another. */
function isRight(usage: Json | undefined): boolean {
  return numbersIn(usage).every(isCount);
}

function takeUsage(usage: Json | undefined, totals: Totals): void {
  if (!isObject(usage)) return;
  const input = countIn(usage, INPUTS);
  const output = countIn(usage, OUTPUTS);
  const inputDetails = usage["prompt_tokens_details"] ?? usage["input_tokens_details"];
  const outputDetails = usage["completion_tokens_details"] ?? usage["output_tokens_details"];
  totals.inputTokens = input ?? totals.inputTokens;
  totals.outputTokens = output ?? totals.outputTokens;
  totals.cachedTokens = countIn(inputDetails, ["cached_tokens"]) ?? totals.cachedTokens;
  totals.reasoningTokens = countIn(outputDetails, ["reasoning_tokens"]) ?? totals.reasoningTokens;
}

function countIn(holder: Json | undefined, names: readonly string[]): number | null {
  const values = isObject(holder) ? names.map((name) => holder[name]) : [];
  const counts = values.filter((value) => typeof value === "number").filter(isCount);
  return counts.at(-1) ?? null;
}

function isCount(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= TOKENS_MAX;
}

/** Strings that the model wrote, and reasons for its end, by the path of keys and "[]" that leads to them. */
function takeContent(value: Json, path: readonly string[], found: Found): void {
  const key = path.at(-1) ?? "";
  if (typeof value === "string") {
    if (key === "finish_reason") found.flags |= SEEN_FINISH;
    if (isContent(path, key)) {
      found.deltas += value === "" ? 0 : 1;
      found.contentBytes += value.length;
    }
  } else if (Array.isArray(value)) {
    for (const item of value) takeContent(item, [...path, "[]"], found);
  } else if (isObject(value)) {
    for (const [name, inner] of Object.entries(value)) takeContent(inner, [...path, name], found);
  }
}

function isContent(path: readonly string[], key: string): boolean {
  const [top = ""] = path;
  return path.length === 1 ? top === "delta" : (top === "choices" || top === "output") && CONTENT.includes(key);
}
