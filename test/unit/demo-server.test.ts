/** The demo provider over HTTP: OpenAI's shapes, consistent counts, streams, refusals, and clients that leave. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { openDemoServer } from "../../src/demo/server.ts";
import { piecesOf, tokensOf } from "../../src/demo/text.ts";

const server = await openDemoServer(1);
after(() => server.close());

const MESSAGES = [{ role: "user", content: "What is a sluice?" }];

interface Answer {
  readonly status: number;
  readonly text: string;
}

async function post(path: string, body: unknown): Promise<Answer> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(`${server.url}${path}`, { method: "POST", body: text });
  return { status: response.status, text: await response.text() };
}

async function postJson(path: string, body: unknown) {
  const { status, text } = await post(path, body);
  assert.equal(status, 200, text);
  return JSON.parse(text);
}

/** The data of each event, [DONE] left out. */
function eventsOf(text: string) {
  const data = text.split("\n").flatMap((line) => (line.startsWith("data: ") ? [line.slice(6)] : []));
  return data.filter((line) => line !== "[DONE]").map((line) => JSON.parse(line));
}

test("a chat completion echoes the last message and counts its own tokens", async () => {
  const body = await postJson("/chat/completions", { model: "m", messages: MESSAGES });
  const [choice] = body.choices;
  assert.match(choice.message.content, /What is a sluice\?/);
  assert.equal(choice.finish_reason, "stop");
  assert.equal(body.usage.completion_tokens, tokensOf(choice.message.content));
  assert.equal(body.usage.total_tokens, body.usage.prompt_tokens + body.usage.completion_tokens);
});

test("the same request gets the same answer", async () => {
  const request = { model: "m", messages: MESSAGES };
  const [one, two] = [await postJson("/chat/completions", request), await postJson("/chat/completions", request)];
  assert.deepEqual([one.id, one.choices, one.usage], [two.id, two.choices, two.usage]);
});

test("a streamed chat completion has the same content, and usage only when it is asked for", async () => {
  const request = { model: "m", messages: MESSAGES };
  const whole = await postJson("/chat/completions", request);
  const { text } = await post("/chat/completions", { ...request, stream: true });
  const events = eventsOf(text);
  assert.match(text, /data: \[DONE\]\n\n$/);
  assert.equal(events[0].choices[0].delta.role, "assistant");
  const content = events.map((event) => event.choices[0].delta.content ?? "").join("");
  assert.equal(content, whole.choices[0].message.content);
  assert.equal(events.at(-1).choices[0].finish_reason, "stop");
  assert.ok(events.every((event) => !("usage" in event)));
  const asked = { ...request, stream: true, stream_options: { include_usage: true } };
  const withUsage = eventsOf((await post("/chat/completions", asked)).text);
  assert.deepEqual(withUsage.at(-1).usage, whole.usage);
  assert.deepEqual(withUsage.at(-1).choices, []);
});

test("max_tokens cuts the answer", async () => {
  const body = await postJson("/chat/completions", { model: "m", messages: MESSAGES, max_tokens: 3 });
  assert.equal(body.usage.completion_tokens, 3);
  assert.equal(body.choices[0].finish_reason, "length");
});

const TOOLS = [
  {
    type: "function",
    function: {
      name: "weather",
      parameters: { type: "object", properties: { city: { type: "string" }, days: { type: "integer" } } },
    },
  },
];

test("a user's message with tools gets a call with arguments of the right types", async () => {
  const body = await postJson("/chat/completions", { model: "m", messages: MESSAGES, tools: TOOLS });
  const [call] = body.choices[0].message.tool_calls;
  assert.equal(call.function.name, "weather");
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "What is a sluice?", days: 1 });
  assert.equal(body.choices[0].finish_reason, "tool_calls");
});

test("a streamed tool call adds up to the same arguments", async () => {
  const { text } = await post("/chat/completions", { model: "m", messages: MESSAGES, tools: TOOLS, stream: true });
  const deltas = eventsOf(text).map((event) => event.choices[0].delta.tool_calls?.[0]?.function.arguments ?? "");
  assert.deepEqual(JSON.parse(deltas.join("")), { city: "What is a sluice?", days: 1 });
});

test("a tool's result gets text", async () => {
  const messages = [...MESSAGES, { role: "tool", tool_call_id: "call_1", content: "sunny" }];
  const body = await postJson("/chat/completions", { model: "m", messages, tools: TOOLS });
  assert.match(body.choices[0].message.content, /sunny/);
});

test("embeddings are unit vectors that depend on the text alone, as numbers or base64", async () => {
  const plain = await postJson("/embeddings", { model: "m", input: ["a", "b"], dimensions: 8 });
  const packed = await postJson("/embeddings", { model: "m", input: "a", dimensions: 8, encoding_format: "base64" });
  const bytes = Buffer.from(packed.data[0].embedding, "base64");
  const vector = Array.from({ length: 8 }, (_, i) => bytes.readFloatLE(i * 4));
  assert.deepEqual(vector, plain.data[0].embedding);
  assert.notDeepEqual(plain.data[0].embedding, plain.data[1].embedding);
  assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-6);
});

test("a response, whole and streamed, says the same", async () => {
  const request = { model: "m", input: "What is a sluice?" };
  const whole = await postJson("/responses", request);
  const text = whole.output[0].content[0].text;
  assert.equal(whole.usage.output_tokens, tokensOf(text));
  const events = eventsOf((await post("/responses", { ...request, stream: true })).text);
  const deltas = events.filter((event) => event.type === "response.output_text.delta");
  assert.equal(deltas.map((event) => event.delta).join(""), text);
  assert.equal(events.at(-1).type, "response.completed");
  assert.deepEqual(events.at(-1).response.usage, whole.usage);
  assert.deepEqual(
    events.map((event) => event.sequence_number),
    [...events.keys()],
  );
});

test("completions, moderations and models have their shapes", async () => {
  const completion = await postJson("/completions", { model: "m", prompt: "Hi", max_tokens: 4 });
  assert.equal(completion.usage.completion_tokens, 4);
  const streamed = eventsOf(
    (await post("/completions", { model: "m", prompt: "Hi", max_tokens: 4, stream: true })).text,
  );
  assert.equal(streamed.map((event) => event.choices[0].text).join(""), completion.choices[0].text);
  const moderation = await postJson("/moderations", { model: "m", input: ["a", "b"] });
  assert.deepEqual(
    moderation.results.map((result: { flagged: boolean }) => result.flagged),
    [false, false],
  );
  const response = await fetch(`${server.url}/models`);
  const models = JSON.parse(await response.text());
  assert.equal(models.object, "list");
});

const REFUSED: readonly [name: string, path: string, body: unknown, status: number][] = [
  ["malformed JSON", "/chat/completions", '{"model":', 400],
  ["a body that is no object", "/chat/completions", "[]", 400],
  ["no model", "/chat/completions", { messages: MESSAGES }, 400],
  ["no messages", "/chat/completions", { model: "m" }, 400],
  ["an empty input", "/embeddings", { model: "m", input: "" }, 400],
  ["an unknown path", "/audio/speech", {}, 404],
  ["a body over the bound", "/chat/completions", " ".repeat(16_777_217), 413],
];

for (const [name, path, body, status] of REFUSED) {
  test(`${name} is refused in OpenAI's shape`, async () => {
    const answer = await post(path, body);
    assert.equal(answer.status, status);
    const { error } = JSON.parse(answer.text);
    assert.equal(error.type, "invalid_request_error");
    assert.ok(error.message.length > 10);
  });
}

test("a GET of an endpoint is refused", async () => {
  const response = await fetch(`${server.url}/chat/completions`);
  assert.equal(response.status, 405);
  await response.arrayBuffer();
});

test("a client that leaves stops its stream, and the server still closes", async () => {
  const slow = await openDemoServer(60_000);
  const abort = new AbortController();
  const body = JSON.stringify({ model: "m", messages: MESSAGES, stream: true });
  const pending = fetch(`${slow.url}/chat/completions`, { method: "POST", body, signal: abort.signal });
  const response = await pending;
  assert.equal(response.status, 200);
  abort.abort();
  await slow.close();
});

test("pieces are the text, and a long word is several tokens", () => {
  const text = "Hello, internationalization: it's 42!";
  assert.equal(piecesOf(text).join(""), text);
  assert.equal(tokensOf("internationalization"), 4);
});
