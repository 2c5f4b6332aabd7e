/**
 * Which kind of failure the text of an error tells: what the status does not say. Gateway worker; called for errors only, of routes and
 * providers for which it makes a difference. Codes first, as OpenAI and Azure have them (platform.openai.com/docs/guides/error-codes,
 * learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter); then the words of servers that have none: vLLM, llama.cpp, text-generation-inference,
 * Mistral, Gemini, Anthropic, Bedrock, Cerebras. Only the fields for codes and messages are looked at, so what a client wrote decides nothing unless
 * a message quotes it.
 */
import { failureBit } from "../config/snapshot.ts";
import type { Exchange } from "./exchange.ts";
import { failureOfStatus } from "./failure.ts";

const CONTEXT_CODES = new Set([
  "context_length_exceeded",
  "exceed_context_size_error",
  "model_max_prompt_tokens_exceeded",
]);
const CONTEXT_WORDS = [
  "maximum context length",
  "model's context length",
  "maximum context limit",
  "exceed context limit",
  "exceeds the available context size",
  "exceeds the context window",
  "exceeds the maximum number of tokens allowed",
  "input tokens exceed the configured limit",
  "prompt is too long",
  "input is too long for requested model",
  "`inputs` tokens + `max_new_tokens` must be",
  "while limit is",
];
const CONTENT_CODES = new Set([
  "content_filter",
  "content_policy_violation",
  "responsibleaipolicyviolation",
  "moderation_blocked",
]);
const CONTENT_WORDS = [
  "content management policy",
  "result of our safety system",
  "violating our usage policy",
  "content policy",
  "content exists risk",
];
const KEY_CODES = new Set(["invalid_api_key", "invalid_authentication", "account_deactivated", "key_disabled"]);
const KEY_WORDS = ["api key", "api_key", "apikey"];

/** How deep errors are wrapped: { error: { innererror: { code } } } and a little. */
const DEPTH_MAX = 4;
const NAMES = new Set(["code", "type", "status", "reason"]);
const WORDS = new Set(["message", "detail", "msg", "error"]);
const WRAPS = new Set(["error", "errors", "innererror", "inner_error", "detail", "details"]);

const RATE_CODES = ["rate_limit", "ratelimit", "too_many_requests", "insufficient_quota", "resource_exhausted"];
/** What is the client's, or of its key, and so of any other try. */
const CLIENT_CODES = ["invalid_", "bad_request", "badrequest", "not_found", "notfound", "permission", "authentication"];
const STATUS = /^[45]\d\d$/;

const RATE = failureBit("rate_limit");
const SERVER = failureBit("server_error");
const CONTEXT = failureBit("context_length");
const CONTENT = failureBit("content_filter");
const CREDENTIAL = failureBit("credential");

/** What is known of an error, in lower case. */
interface Told {
  readonly codes: string[];
  readonly words: string[];
}

/** The bit of its kind, if it is one of `among`; 0: it is none of them. */
export function failureOfText(body: Buffer, among: number): number {
  const told: Told = { codes: [], words: [] };
  gather(parsed(body), told, 0);
  if ((among & CONTENT) !== 0 && says(told, CONTENT_CODES, CONTENT_WORDS)) return CONTENT;
  if ((among & CONTEXT) !== 0 && says(told, CONTEXT_CODES, CONTEXT_WORDS)) return CONTEXT;
  return (among & CREDENTIAL) !== 0 && says(told, KEY_CODES, KEY_WORDS) ? CREDENTIAL : 0;
}

/**
 * The same of events with which a stream begins: OpenAI's `error` beside or in the place of a chunk, also with the status that the answer would have
 * had as its code (vLLM, OpenRouter), and Anthropic's and Responses' event of the type `error`. Of any kind; 0: none of them is an error, or none that
 * another try would help.
 */
export function failureOfEvents(events: Buffer, among: number): number {
  for (const line of events.toString().split("\n")) {
    const value = line.startsWith(DATA) ? parsed(line.slice(DATA.length)) : null;
    if (isError(value)) return failureOfError(value, among);
  }
  return 0;
}

const DATA = "data:";

function isError(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { error, type } = value as { error?: unknown; type?: unknown };
  return type === "error" || (error !== undefined && error !== null);
}

function failureOfError(value: unknown, among: number): number {
  const told: Told = { codes: [], words: [] };
  gather(value, told, 0);
  if (says(told, CONTENT_CODES, CONTENT_WORDS)) return among & CONTENT;
  if (says(told, CONTEXT_CODES, CONTEXT_WORDS)) return among & CONTEXT;
  const status = told.codes.find((code) => STATUS.test(code));
  if (status !== undefined) return failureOfStatus(Number(status));
  const names = (parts: readonly string[]) => told.codes.some((code) => parts.some((part) => code.includes(part)));
  if (names(RATE_CODES)) return RATE;
  return names(CLIENT_CODES) ? 0 : SERVER;
}

function parsed(body: Buffer | string): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return null;
  }
}

function gather(value: unknown, told: Told, depth: number): void {
  if (typeof value !== "object" || value === null || depth > DEPTH_MAX) return;
  if (Array.isArray(value)) {
    for (const one of value) gather(one, told, depth + 1);
    return;
  }
  for (const [name, field] of Object.entries(value)) {
    if ((typeof field === "string" || typeof field === "number") && NAMES.has(name))
      told.codes.push(String(field).toLowerCase());
    if (typeof field === "string" && WORDS.has(name)) told.words.push(field.toLowerCase());
    if (WRAPS.has(name)) gather(field, told, depth + 1);
  }
}

function says({ codes, words }: Told, known: ReadonlySet<string>, phrases: readonly string[]): boolean {
  return codes.some((code) => known.has(code)) || words.some((text) => phrases.some((phrase) => text.includes(phrase)));
}

const BAD_REQUEST = 400;
const FORBIDDEN = 403;
const TOO_LARGE = 413;
const UNPROCESSABLE = 422;

/** Bits of the kinds that the text of this error may tell and that lead to something: another target, or another credential. */
export function failuresToRead({ route, credential }: Exchange, status: number): number {
  const wanted = route === null || route.fallbacks === null ? 0 : route.fallbacks.read;
  if (status === BAD_REQUEST) return wanted;
  if (status === TOO_LARGE || status === UNPROCESSABLE) return wanted & CONTEXT;
  return status === FORBIDDEN ? (wanted & CONTENT) | (credential < 0 ? 0 : CREDENTIAL) : 0;
}
