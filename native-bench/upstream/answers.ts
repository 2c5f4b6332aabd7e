/** What the mock provider answers: one chat completion, whole or in chunks. Pure. */

const CONTENT =
  "I am sorry to hear that. Please send us a photo of the damage and of the box, and I will pass this on to my colleagues. " +
  "They answer within one working day, and a new case leaves our warehouse on the day of their decision.";
const USAGE = {
  prompt_tokens: 58,
  completion_tokens: 52,
  total_tokens: 110,
  prompt_tokens_details: { cached_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 0 },
};
const ID = "chatcmpl-9a8b7c6d5e4f3a2b1c0d";

/** About 600 bytes. */
export const ANSWER = JSON.stringify({
  id: ID,
  object: "chat.completion",
  created: 1_760_000_000,
  model: "gpt-4o-2024-08-06",
  choices: [{ index: 0, message: { role: "assistant", content: CONTENT }, finish_reason: "stop" }],
  usage: USAGE,
});

/** A stream of `count` chunks with content, then finish, usage and [DONE] in one; empty for 0. */
export function streamChunks(count: number): string[] {
  if (count === 0) return [];
  const words = Array.from({ length: count }, () => event({ choices: [{ index: 0, delta: { content: " word" } }] }));
  const finish = event({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
  return [...words, `${finish}${event({ choices: [], usage: USAGE })}data: [DONE]\n\n`];
}

function event(data: object): string {
  const head = { id: ID, object: "chat.completion.chunk", created: 1_760_000_000, model: "gpt-4o-2024-08-06" };
  return `data: ${JSON.stringify({ ...head, ...data })}\n\n`;
}
