/**
 * The cut: how a stream ends that its limits do not let go on. The client sees what a model's own limit of tokens looks like: a finish_reason
 * of "length", or response.incomplete, made from the stream's own events. Gateway worker; pure, once per cut.
 */
import { wallMs } from "../base/clock.ts";
import { ANSWERS_CUT_MAX } from "../base/limits.ts";
import { estimateTokens, readUsage, usage } from "../providers/response-scan.ts";
import { ENDPOINT_CHAT, ENDPOINT_COMPLETIONS, ENDPOINT_RESPONSES } from "./endpoint.ts";
import type { Exchange } from "./exchange.ts";

type Fields = Readonly<Record<string, unknown>>;

const MS_PER_S = 1_000;
const LINE_BREAK = /\r\n|\n|\r/;
const DATA = /^data: ?(\{.*\})$/;
const DONE = "data: [DONE]\n\n";

/** Streams whose ends are known. */
export function canCut(endpoint: number): boolean {
  return endpoint === ENDPOINT_CHAT || endpoint === ENDPOINT_COMPLETIONS || endpoint === ENDPOINT_RESPONSES;
}

/** The last events of a stream that is cut behind `events`: whole ones, at least one. */
export function endingOf(exchange: Exchange, events: Buffer): string {
  const last = objectsIn(events).next().value ?? {};
  return exchange.endpoint === ENDPOINT_RESPONSES ? incomplete(exchange, last) : finish(exchange, last);
}

/** What events say whose data is a JSON object, the last one first. */
function* objectsIn(events: Buffer | null): Generator<Fields, null> {
  const lines = events === null ? [] : events.toString("utf8").split(LINE_BREAK);
  for (const line of lines.reverse()) {
    const json = DATA.exec(line)?.[1];
    const object = json === undefined ? null : parse(json);
    if (object !== null) yield object;
  }
  return null;
}

function parse(json: string): Fields | null {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null ? { ...value } : null;
  } catch {
    return null;
  }
}

/** Chunks of chat completions and completions carry what names their stream in each. */
function finish(exchange: Exchange, last: Fields): string {
  const chat = exchange.endpoint === ENDPOINT_CHAT;
  const begin = {
    id: exchange.requestId,
    object: chat ? "chat.completion.chunk" : "text_completion",
    created: createdS(exchange),
    model: exchange.model,
  };
  const { choices: _, usage: __, ...same } = last;
  const piece = chat ? { delta: {} } : { text: "" };
  const choices = Array.from({ length: Math.min(exchange.answers, ANSWERS_CUT_MAX) }, (_, index) => ({
    index,
    ...piece,
    logprobs: null,
    finish_reason: "length",
  }));
  const chunk = { ...begin, ...same, choices };
  if (!exchange.usageAsked) return event(chunk) + DONE;
  const { input, output } = tokensOf(exchange);
  const sums = { prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
  return event({ ...chunk, usage: null }) + event({ ...chunk, choices: [], usage: sums }) + DONE;
}

/** The response is what the stream's first event said of it; what was written since is with the client. */
function incomplete(exchange: Exchange, last: Fields): string {
  const { input, output } = tokensOf(exchange);
  const openings = [...objectsIn(exchange.opening)].map((event) => event["response"]);
  const opening = openings.findLast((one) => typeof one === "object" && one !== null);
  const sums = {
    input_tokens: input,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: input + output,
  };
  const response = {
    id: exchange.requestId,
    object: "response",
    created_at: createdS(exchange),
    model: exchange.model,
    ...(typeof opening === "object" ? opening : {}),
    status: "incomplete",
    incomplete_details: { reason: "max_output_tokens" },
    output: [],
    usage: sums,
  };
  const number = last["sequence_number"];
  const order = typeof number === "number" ? { sequence_number: number + 1 } : {};
  return `event: response.incomplete\n${event({ type: "response.incomplete", ...order, response })}`;
}

function createdS({ startedMs }: Exchange): number {
  return Math.floor(wallMs(startedMs) / MS_PER_S);
}

/** As they are booked. */
function tokensOf({ scan, textBytes }: Exchange): { readonly input: number; readonly output: number } {
  readUsage(scan);
  return { input: estimateTokens(textBytes), output: usage.estimatedOutputTokens };
}

function event(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}
