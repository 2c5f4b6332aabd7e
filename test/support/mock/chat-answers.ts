/** OpenAI-shaped answers with text in them: chat, completions and responses, whole and streamed. Pure. */
import { dataEvent, jsonPlan, type Plan, ssePlan } from "./plan.ts";

/** What a request body said, as far as answers depend on it. */
export interface Asked {
  readonly model: string;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly tools: boolean;
}

export const WORDS = ["The", " quick", " brown", " fox", " jumps", " over", " the", " lazy", " dog"] as const;
export const TEXT = WORDS.join("");
const CREATED = 1_700_000_000;

/** The usage that every chat answer reports. */
export const CHAT_USAGE = {
  prompt_tokens: 21,
  completion_tokens: 9,
  total_tokens: 30,
  prompt_tokens_details: { cached_tokens: 5 },
  completion_tokens_details: { reasoning_tokens: 2 },
} as const;

/** The usage of every response object. */
export const RESPONSE_USAGE = {
  input_tokens: 31,
  input_tokens_details: { cached_tokens: 7 },
  output_tokens: 12,
  output_tokens_details: { reasoning_tokens: 4 },
  total_tokens: 43,
} as const;

export const TOOL_ARGUMENTS = ['{"ci', 'ty":"S', '\\u00e3o Paulo","n":1', ".0e+2}"] as const;
const TOOL_CALL = { id: "call_1", type: "function", function: { name: "weather" } } as const;

export function chatPlan(asked: Asked): Plan {
  return asked.stream ? ssePlan(chatEvents(asked)) : jsonPlan(200, chatObject(asked));
}

function chatObject(asked: Asked): object {
  const call = { ...TOOL_CALL, function: { ...TOOL_CALL.function, arguments: TOOL_ARGUMENTS.join("") } };
  const message = asked.tools
    ? { role: "assistant", content: null, tool_calls: [call] }
    : { role: "assistant", content: TEXT };
  const choices = [{ index: 0, message, finish_reason: asked.tools ? "tool_calls" : "stop" }];
  return {
    id: "chatcmpl-1",
    object: "chat.completion",
    created: CREATED,
    model: asked.model,
    choices,
    usage: CHAT_USAGE,
  };
}

function* chatEvents(asked: Asked): Generator<string> {
  const usage = asked.includeUsage ? { usage: null } : {};
  const base = { id: "chatcmpl-1", object: "chat.completion.chunk", created: CREATED, model: asked.model };
  for (const delta of asked.tools ? toolDeltas() : textDeltas()) {
    yield dataEvent({ ...base, choices: [{ index: 0, delta, finish_reason: null }], ...usage });
  }
  const finish = { index: 0, delta: {}, finish_reason: asked.tools ? "tool_calls" : "stop" };
  yield dataEvent({ ...base, choices: [finish], ...usage });
  if (asked.includeUsage) yield dataEvent({ ...base, choices: [], usage: CHAT_USAGE });
  yield "data: [DONE]\n\n";
}

function textDeltas(): object[] {
  return [{ role: "assistant", content: "" }, ...WORDS.map((content) => ({ content }))];
}

function toolDeltas(): object[] {
  const first = { index: 0, ...TOOL_CALL, function: { ...TOOL_CALL.function, arguments: "" } };
  const rest = TOOL_ARGUMENTS.map((part) => ({ tool_calls: [{ index: 0, function: { arguments: part } }] }));
  return [{ role: "assistant", content: null, tool_calls: [first] }, ...rest];
}

export function completionPlan(asked: Asked): Plan {
  const base = { id: "cmpl-1", object: "text_completion", created: CREATED, model: asked.model };
  if (!asked.stream) {
    const choices = [{ index: 0, text: TEXT, finish_reason: "stop", logprobs: null }];
    return jsonPlan(200, { ...base, choices, usage: CHAT_USAGE });
  }
  const events = WORDS.map((text) => dataEvent({ ...base, choices: [{ index: 0, text, finish_reason: null }] }));
  const usage = asked.includeUsage ? [dataEvent({ ...base, choices: [], usage: CHAT_USAGE })] : [];
  return ssePlan([...events, ...usage, "data: [DONE]\n\n"]);
}

export function responsePlan(asked: Asked): Plan {
  return asked.stream ? ssePlan(responseEvents(asked)) : jsonPlan(200, responseObject(asked));
}

function responseObject(asked: Asked): object {
  const content = [{ type: "output_text", text: TEXT, annotations: [] }];
  const output = [{ id: "msg_1", type: "message", role: "assistant", status: "completed", content }];
  return { ...responseShell(asked, "completed"), output, usage: RESPONSE_USAGE };
}

function responseShell(asked: Asked, status: string): object {
  return { id: "resp_1", object: "response", created_at: CREATED, status, model: asked.model, output: [], usage: null };
}

function* responseEvents(asked: Asked): Generator<string> {
  let sequence = 0;
  const event = (type: string, fields: object): string => {
    const data = JSON.stringify({ type, sequence_number: sequence, ...fields });
    sequence += 1;
    return `event: ${type}\ndata: ${data}\n\n`;
  };
  yield event("response.created", { response: responseShell(asked, "in_progress") });
  for (const delta of WORDS) {
    yield event("response.output_text.delta", { item_id: "msg_1", output_index: 0, content_index: 0, delta });
  }
  yield event("response.completed", { response: responseObject(asked) });
}
