/** Legacy text completions of the demo provider. Pure apart from the clock. Supervisor process. */
import { usageOf } from "./chat.ts";
import { countOf, type Json, listOf, objectOf } from "./json.ts";
import { createdNow, type DemoEvent, type Reply } from "./reply.ts";
import { answerTo, idOf, piecesOf, tokensOf } from "./text.ts";

/** OpenAI's default of max_tokens here is 16; a whole sentence is friendlier. */
const TOKENS_DEFAULT = 64;

export function completion(request: Json, model: string, body: Buffer): Reply {
  const prompt = promptOf(request["prompt"]);
  const all = piecesOf(answerTo(prompt));
  const pieces = all.slice(0, countOf(request["max_tokens"]) ?? TOKENS_DEFAULT);
  const head = { id: idOf("cmpl-", body), object: "text_completion", created: createdNow(), model };
  const finish = pieces.length < all.length ? "length" : "stop";
  const usage = usageOf(tokensOf(prompt), pieces.length);
  if (request["stream"] !== true)
    return { kind: "json", body: { ...head, choices: [choice(pieces.join(""), finish)], usage } };
  const withUsage = objectOf(request["stream_options"])["include_usage"] === true;
  const events: DemoEvent[] = [
    ...pieces.map((piece) => ({ data: { ...head, choices: [choice(piece, null)] } })),
    { data: { ...head, choices: [choice("", finish)] } },
    ...(withUsage ? [{ data: { ...head, choices: [], usage } }] : []),
    { data: "[DONE]" },
  ];
  return { kind: "stream", events };
}

function promptOf(prompt: unknown): string {
  return typeof prompt === "string" ? prompt : listOf(prompt).join(" ");
}

function choice(text: string, finish: string | null): object {
  return { text, index: 0, logprobs: null, finish_reason: finish };
}
