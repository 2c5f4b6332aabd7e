/** The Responses API of the demo provider: it echoes the last input. Pure apart from the clock. Supervisor process. */
import { countOf, type Json, listOf, objectOf, textOf } from "./json.ts";
import { createdNow, type DemoEvent, type Reply } from "./reply.ts";
import { answerTo, idOf, piecesOf, tokensOf } from "./text.ts";

interface Turn {
  readonly head: Json;
  readonly itemId: string;
  readonly pieces: readonly string[];
  readonly cut: boolean;
  readonly inputTokens: number;
}

export function response(request: Json, model: string, body: Buffer): Reply {
  const turn = takeTurn(request, model, body);
  if (request["stream"] !== true) return { kind: "json", body: finished(turn) };
  return { kind: "stream", events: numbered(streamed(turn)) };
}

function takeTurn(request: Json, model: string, body: Buffer): Turn {
  const texts = inputTexts(request["input"]);
  const all = piecesOf(answerTo(texts.at(-1) ?? ""));
  const pieces = all.slice(0, countOf(request["max_output_tokens"]) ?? all.length);
  return {
    head: headOf(request, model, body),
    itemId: idOf("msg_", body),
    pieces,
    cut: pieces.length < all.length,
    inputTokens: tokensOf([textOf(request["instructions"]), ...texts].join(" ")),
  };
}

function inputTexts(input: unknown): string[] {
  if (typeof input === "string") return [input];
  return listOf(input).map((item) => textOf(objectOf(item)["content"]));
}

function headOf(request: Json, model: string, body: Buffer): Json {
  return {
    id: idOf("resp_", body),
    object: "response",
    created_at: createdNow(),
    model,
    error: null,
    instructions: request["instructions"] ?? null,
    max_output_tokens: request["max_output_tokens"] ?? null,
    metadata: request["metadata"] ?? {},
    parallel_tool_calls: true,
    previous_response_id: null,
    store: false,
    temperature: 1,
    text: { format: { type: "text" } },
    tool_choice: "auto",
    tools: [],
    top_p: 1,
    truncation: "disabled",
  };
}

function unfinished(turn: Turn): Json {
  return { ...turn.head, status: "in_progress", incomplete_details: null, output: [], usage: null };
}

function finished(turn: Turn): Json {
  return {
    ...turn.head,
    status: turn.cut ? "incomplete" : "completed",
    incomplete_details: turn.cut ? { reason: "max_output_tokens" } : null,
    output: [itemOf(turn, "completed", [partOf(turn.pieces.join(""))])],
    usage: {
      input_tokens: turn.inputTokens,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: turn.pieces.length,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: turn.inputTokens + turn.pieces.length,
    },
  };
}

function itemOf(turn: Turn, status: string, content: readonly object[]): Json {
  return { type: "message", id: turn.itemId, status, role: "assistant", content };
}

function partOf(text: string): Json {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

function streamed(turn: Turn): Json[] {
  const text = turn.pieces.join("");
  const at = { item_id: turn.itemId, output_index: 0, content_index: 0 };
  return [
    { type: "response.created", response: unfinished(turn) },
    { type: "response.in_progress", response: unfinished(turn) },
    { type: "response.output_item.added", output_index: 0, item: itemOf(turn, "in_progress", []) },
    { type: "response.content_part.added", ...at, part: partOf("") },
    ...turn.pieces.map((delta) => ({ type: "response.output_text.delta", ...at, delta, logprobs: [] })),
    { type: "response.output_text.done", ...at, text, logprobs: [] },
    { type: "response.content_part.done", ...at, part: partOf(text) },
    { type: "response.output_item.done", output_index: 0, item: itemOf(turn, "completed", [partOf(text)]) },
    { type: turn.cut ? "response.incomplete" : "response.completed", response: finished(turn) },
  ];
}

function numbered(events: readonly Json[]): DemoEvent[] {
  return events.map((event, i) => ({ event: String(event["type"]), data: { ...event, sequence_number: i } }));
}
