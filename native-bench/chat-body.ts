/**
 * Chat completion requests as applications send them, at about a wanted size. Three shapes, because what a scan and
 * a parser cost depends on how much of a body is structure, and on its letters: `conversation` has messages of a few hundred
 * bytes, with newlines and quotes, and from 4 KB on two tool schemas; `unicode` is the same with a name and quotes that are
 * not ASCII; `tools` is mostly schemas, as agents with many tools send it. Pure.
 */

export type Shape = "conversation" | "unicode" | "tools";

const SYSTEM =
  "You are a support assistant for an online shop. Answer in the customer's language, in two or three sentences.\n" +
  'Never promise refunds; say "I will pass this on to my colleagues" instead.\n\n';
const SHORT_QUESTION =
  "Hello,\nmy order #48213 arrived with a dent in the case. Can you tell me what to do?\n\nThanks, Zoe";
const QUESTION =
  "Hello,\n\nmy order #48213 arrived yesterday. The box was fine, but the case inside has a dent on its left side, and one " +
  'of the two keys is missing. The parcel service said: "contact the shop first". Can you tell me what I have to do, ' +
  "and how long it will take? I need the case on the 14th.\n\nThanks, Zoe";
const ANSWER =
  "I am sorry to hear that. Here is what happens next:\n\n1. Send us a photo of the dent and one of the box; you can " +
  "reply to this message and attach them.\n2. I will pass this on to my colleagues, who answer within one working day.\n" +
  "3. They decide whether we send you a new case or only the missing key, and you keep what you have until then.\n\n" +
  "A new case leaves our warehouse on the day of that decision if it is made before 15:00, and takes two days; with " +
  '"express" it arrives on the next morning, so the 14th is realistic in either case.\n\n' +
  "Please do not send anything back yet: we would have to wait for it before we can go on. Is there anything else that I " +
  "can do for you?";
/** Conversations from this size on carry tool schemas, bytes. */
const TOOLS_FROM_BYTES = 4_000;

interface Message {
  readonly role: string;
  readonly content: string;
}

/** A request of about `bytes` (300 or more). */
export function chatBody(model: string, bytes: number, shape: Shape = "conversation"): Buffer {
  const text = bytes < 1_000 ? smallBody(model) : conversation(model, bytes, shape);
  return Buffer.from(shape === "unicode" ? text.replaceAll("Zoe", "Zoë").replaceAll('\\"', "”") : text);
}

function conversation(model: string, bytes: number, shape: Shape): string {
  const toolBytes = JSON.stringify(tool(100)).length + 1;
  const tools = shape === "tools" ? Math.floor((0.8 * bytes) / toolBytes) : bytes < TOOLS_FROM_BYTES ? 0 : 2;
  const bare = JSON.stringify(request(model, 0, tools)).length;
  const turn = JSON.stringify(request(model, 1, tools)).length - bare;
  return JSON.stringify(request(model, Math.max(0, Math.round((bytes - bare) / turn)), tools));
}

/** A small request: a short prompt and a question, about 300 bytes. */
function smallBody(model: string): string {
  const messages: Message[] = [
    { role: "system", content: "You are a support assistant. Answer in two or three sentences." },
    { role: "user", content: SHORT_QUESTION },
  ];
  return JSON.stringify({ model, messages, temperature: 0.7, max_tokens: 512 });
}

function request(model: string, turns: number, tools: number): object {
  const messages: Message[] = [{ role: "system", content: SYSTEM }];
  for (let turn = 0; turn < turns; turn += 1) {
    messages.push({ role: "user", content: QUESTION }, { role: "assistant", content: ANSWER });
  }
  messages.push({ role: "user", content: QUESTION });
  const head = { model, temperature: 0.7, max_tokens: 512, messages };
  return tools === 0 ? head : { ...head, tools: Array.from({ length: tools }, (_, number) => tool(number)) };
}

function tool(number: number): object {
  const order = { type: "string", description: 'The order number, like "#48213".' };
  const reason = { type: "string", enum: ["damaged", "late", "wrong_item", "other"] };
  const parameters = {
    type: "object",
    properties: { order, reason },
    required: ["order"],
    additionalProperties: false,
  };
  const description = "Looks up an order and its state.\nCall it before you answer questions about an order.";
  return { type: "function", function: { name: `find_order_${number}`, description, strict: true, parameters } };
}
