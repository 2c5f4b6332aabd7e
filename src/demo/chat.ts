/**
 * Chat completions of the demo provider: it echoes the last message, or calls the first tool that it is given once. Pure
 * apart from the clock. Supervisor process.
 */
import { countOf, type Json, listOf, objectOf, textOf } from "./json.ts";
import { createdNow, type DemoEvent, DemoRefusal, type Reply } from "./reply.ts";
import { answerTo, answerToTool, idOf, piecesOf, tokensOf } from "./text.ts";

/** Tokens that the chat format adds per message, about as at OpenAI. */
const TOKENS_PER_MESSAGE = 4;

interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly argumentsText: string;
}

interface Turn {
  readonly head: { readonly id: string; readonly created: number; readonly model: string };
  /** Content, or the arguments of `call`, one token each. */
  readonly pieces: readonly string[];
  readonly call: ToolCall | null;
  readonly finish: "stop" | "length" | "tool_calls";
  readonly usage: object;
}

export function chatCompletion(request: Json, model: string, body: Buffer): Reply {
  const turn = takeTurn(request, model, body);
  if (request["stream"] !== true) return { kind: "json", body: whole(turn) };
  const withUsage = objectOf(request["stream_options"])["include_usage"] === true;
  return { kind: "stream", events: streamed(turn, withUsage) };
}

function takeTurn(request: Json, model: string, body: Buffer): Turn {
  const messages = listOf(request["messages"]).map(objectOf);
  const last = messages.at(-1);
  if (last === undefined)
    throw new DemoRefusal(400, "'messages' must be a list with at least one message.", "messages");
  const call = callFor(request, last, body);
  const all = piecesOf(call?.argumentsText ?? contentFor(last));
  const bound = countOf(request["max_completion_tokens"]) ?? countOf(request["max_tokens"]) ?? all.length;
  const pieces = call === null ? all.slice(0, bound) : all;
  const ended = pieces.length < all.length ? "length" : "stop";
  return {
    head: { id: idOf("chatcmpl-", body), created: createdNow(), model },
    pieces,
    call,
    finish: call === null ? ended : "tool_calls",
    usage: usageOf(promptTokens(messages), pieces.length),
  };
}

function contentFor(last: Json): string {
  const text = textOf(last["content"]);
  return last["role"] === "tool" ? answerToTool(text) : answerTo(text);
}

function promptTokens(messages: readonly Json[]): number {
  return messages.reduce((sum, message) => sum + TOKENS_PER_MESSAGE + tokensOf(textOf(message["content"])), 0);
}

export function usageOf(promptTokenCount: number, completionTokenCount: number): object {
  return {
    prompt_tokens: promptTokenCount,
    completion_tokens: completionTokenCount,
    total_tokens: promptTokenCount + completionTokenCount,
    prompt_tokens_details: { cached_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0 },
  };
}

/** The call of the chosen or first function, when a user's message comes with tools. */
function callFor(request: Json, last: Json, body: Buffer): ToolCall | null {
  const choice = request["tool_choice"];
  if (choice === "none" || last["role"] !== "user") return null;
  const tools = listOf(request["tools"]).map((tool) => objectOf(objectOf(tool)["function"]));
  const wanted = objectOf(objectOf(choice)["function"])["name"];
  const tool = tools.find((candidate) => candidate["name"] === wanted) ?? tools[0];
  if (tool === undefined) return null;
  const filled = argumentsFor(objectOf(tool["parameters"]), textOf(last["content"]));
  return { id: idOf("call_", body), name: String(tool["name"]), argumentsText: JSON.stringify(filled) };
}

/** A value of the right type for each property of the function's schema. */
function argumentsFor(schema: Json, prompt: string): Json {
  const properties = Object.entries(objectOf(schema["properties"]));
  return Object.fromEntries(properties.map(([name, property]) => [name, valueFor(objectOf(property), prompt)]));
}

function valueFor(property: Json, prompt: string): unknown {
  const values: Json = { number: 1, integer: 1, boolean: true, array: [], object: {}, null: null };
  const type = String(property["type"]);
  return listOf(property["enum"])[0] ?? (type in values ? values[type] : prompt);
}

function whole(turn: Turn): object {
  const content = turn.pieces.join("");
  const message =
    turn.call === null
      ? { role: "assistant", content, refusal: null }
      : { role: "assistant", content: null, refusal: null, tool_calls: [toolCall(turn.call, content)] };
  return {
    ...turn.head,
    object: "chat.completion",
    choices: [{ index: 0, message, logprobs: null, finish_reason: turn.finish }],
    usage: turn.usage,
  };
}

function toolCall(call: ToolCall, argumentsText: string): object {
  return { id: call.id, type: "function", function: { name: call.name, arguments: argumentsText } };
}

/** The role, one event per token, the finish reason, the usage where it was asked for, [DONE]. */
function streamed(turn: Turn, withUsage: boolean): DemoEvent[] {
  const chunk = (choices: readonly object[], usage: object | null): DemoEvent => ({
    data: { ...turn.head, object: "chat.completion.chunk", choices, ...(withUsage ? { usage } : {}) },
  });
  const delta = (value: object, finish: string | null = null): DemoEvent =>
    chunk([{ index: 0, delta: value, logprobs: null, finish_reason: finish }], null);
  return [
    delta(opening(turn.call)),
    ...turn.pieces.map((piece) => delta(turn.call === null ? { content: piece } : continuation(piece))),
    delta({}, turn.finish),
    ...(withUsage ? [chunk([], turn.usage)] : []),
    { data: "[DONE]" },
  ];
}

function opening(call: ToolCall | null): object {
  if (call === null) return { role: "assistant", content: "", refusal: null };
  return { role: "assistant", content: null, tool_calls: [{ index: 0, ...toolCall(call, "") }] };
}

function continuation(piece: string): object {
  return { tool_calls: [{ index: 0, function: { arguments: piece } }] };
}
