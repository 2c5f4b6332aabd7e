/** Fallbacks by kind of failure: which target is next, what is known of a failure by its text, and what the client has of it. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import type { FallbacksConfig } from "../../src/config/chains.ts";
import type { ModelConfig } from "../../src/config/model.ts";
import { failureBit } from "../../src/config/snapshot.ts";
import { failureOfText } from "../../src/pipeline/failure-text.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { RequestPath, ScriptedProvider } from "../support/request-path.ts";

const CONTEXT = failureBit("context_length");
const CONTENT = failureBit("content_filter");
const KEY = failureBit("credential");
const kindOf = (body: unknown, among = CONTEXT | CONTENT | KEY) =>
  failureOfText(Buffer.from(typeof body === "string" ? body : JSON.stringify(body)), among);
const message = (text: string) => ({
  error: { message: text, type: "invalid_request_error", param: null, code: null },
});

test("a prompt that is too long is known by its code, or by the words of servers that have none", () => {
  const told: unknown[] = [
    {
      error: {
        message: "Too long.",
        type: "invalid_request_error",
        param: "messages",
        code: "context_length_exceeded",
      },
    },
    {
      error: {
        code: 400,
        message: "the request exceeds the available context size",
        type: "exceed_context_size_error",
      },
    },
    {
      object: "error",
      message: "This model's maximum context length is 4096 tokens. However, you requested 9000",
      code: 400,
    },
    {
      type: "error",
      error: { type: "invalid_request_error", message: "prompt is too long: 210000 tokens > 200000 maximum" },
    },
    message("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"),
    [{ error: { code: 400, message: "The input token count (5) exceeds the maximum number of tokens allowed (4)." } }],
    { error: "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096", error_type: "validation" },
    {
      object: "error",
      message: { detail: [{ msg: "x" }] },
      detail: "Prompt is too large for model with 32768 maximum context length",
    },
    message("Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192"),
  ];
  for (const body of told) strictEqual(kindOf(body), CONTEXT, JSON.stringify(body));
});

test("refused content, and a refused credential, in the same way", () => {
  const azure = {
    innererror: { code: "ResponsibleAIPolicyViolation", content_filter_result: { hate: { filtered: true } } },
  };
  const content: unknown[] = [
    {
      error: { message: "The response was filtered", type: null, param: "prompt", code: "content_filter", status: 400 },
    },
    { error: { message: "No.", code: null, ...azure } },
    { error: { code: "content_policy_violation", message: "x" } },
    message("Your request was rejected as a result of our safety system."),
  ];
  for (const body of content) strictEqual(kindOf(body), CONTENT, JSON.stringify(body));
  strictEqual(kindOf({ error: { message: "no", code: "invalid_api_key" } }), KEY);
  strictEqual(kindOf(message("API key not valid. Please pass a valid API key.")), KEY);
});

test("anything else is none of them, and so is what nobody asks for", () => {
  const none: unknown[] = [
    message("Invalid 'temperature': expected at most 2."),
    {
      error: {
        message: "too long",
        param: "messages: this model's maximum context length is 5",
        code: "string_above_max_length",
      },
    },
    { error: { message: "x", echo: { message: "maximum context length" } } },
    ["maximum context length"],
    "maximum context length",
    "",
    "[".repeat(50_000),
    { error: { error: { error: { error: { error: { code: "content_filter" } } } } } },
  ];
  for (const body of none) strictEqual(kindOf(body), 0, JSON.stringify(body).slice(0, 80));
  strictEqual(kindOf({ error: { code: "content_filter" } }, CONTEXT), 0);
});

/** The model of each request, in order. */
const seen: string[] = [];
/** By model, what it is answered with; the others are fine. */
const answers = new Map<string, string>();
const answer = (status: string, body: string, headers = "") =>
  `HTTP/1.1 ${status}\r\n${headers}content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const provider = await ScriptedProvider.start((socket, received) => {
  const text = received.toString("latin1");
  const [head = "", body = ""] = text.slice(text.lastIndexOf("POST ")).split("\r\n\r\n");
  if (body.length < Number(/content-length: (\d+)/.exec(head)?.[1])) return;
  const model = /"model":"([^"]+)"/.exec(body)?.[1] ?? "none";
  seen.push(model);
  socket.write(answers.get(model) ?? answer("200 OK", `{"by":"${model}"}`));
});

const TOO_LONG = answer("400 Bad", '{"error":{"code":"context_length_exceeded","message":"too long"}}');
const FILTERED = answer("400 Bad", '{"error":{"code":"content_filter","message":"no"}}');
const DOWN = answer("503 No", "{}");
const BAD = answer("400 Bad", '{"error":{"code":"bad","message":"no"}}');
const to = (...models: string[]) => models.map((model) => ({ provider: "main", model, weight: 1, priority: 0 }));
const modelWith = (targets: string[], fallbacks: FallbacksConfig, attempts = 8): ModelConfig => ({
  targets: to(...targets),
  strategy: "priority",
  attempts,
  retries: false,
  fallbacks,
});
const FALLBACKS: FallbacksConfig = {
  context_length: to("long", "longer"),
  content_filter: to("lenient"),
  rate_limit: to("quick"),
  default: to("spare", "last"),
};
const models = {
  one: modelWith(["a"], FALLBACKS),
  two: modelWith(["a", "b"], FALLBACKS),
  plain: modelWith(["a"], { default: to("spare") }),
  again: { ...modelWith(["a"], { context_length: to("long") }, 3), retries: true },
  unguarded: { ...modelWith(["a", "b"], { default: to("spare") }), breaker: false },
};
const breaker = {
  ...{ enabled: true, failures: 2, errorPercent: 100, requests: 1_000, windowMs: 10_000 },
  ...{ cooldownMs: 60_000, cooldownMaxMs: 60_000 },
};
const retries = { failures: 0b1111111, pauseMs: 1, pauseMaxMs: 100, budgetPercent: 20, budgetMin: 10 };
let path: RequestPath;
let client: RawClient;
beforeEach(async () => {
  path?.stop();
  client?.leave();
  seen.length = 0;
  answers.clear();
  path = await RequestPath.start(provider, { models, breaker, retries });
  client = await RawClient.connect(path.port);
});
after(() => {
  path.stop();
  client.leave();
  provider.stop();
});

const ask = (model: string) => client.ask(requestBytes({ body: `{"model":"${model}","messages":[]}` }));

/** Asks: the status, and which models were asked for it. */
async function went(model: string): Promise<readonly (number | string)[]> {
  seen.length = 0;
  const { status } = await ask(model);
  return [status, ...seen];
}

test("what the model itself cannot take goes to the list of its kind, and to no other target of the model", async () => {
  answers.set("a", TOO_LONG);
  deepStrictEqual(await went("two"), [200, "a", "long"]);
  answers.set("long", TOO_LONG);
  deepStrictEqual(await went("two"), [200, "a", "long", "longer"]);
  answers.set("longer", TOO_LONG);
  deepStrictEqual(await went("two"), [400, "a", "long", "longer"]);
  answers.set("a", FILTERED);
  deepStrictEqual(await went("two"), [200, "a", "lenient"]);
  const record = path.records().at(-1);
  deepStrictEqual([record?.attempts, record?.upstreamModel], [2, "lenient"]);
});

test("it says nothing about the target", async () => {
  answers.set("a", TOO_LONG);
  for (let i = 0; i < 5; i += 1) await ask("two");
  const state = path.pipeline.snapshot.routes.get("two")?.choices[0]?.state.breaker;
  deepStrictEqual([state?.[2], state?.[10]], [0, 0]);
});

test("another error of the client's is its answer, byte for byte", async () => {
  answers.set("a", BAD);
  const { status, body } = await ask("two");
  deepStrictEqual([status, body.toString(), seen], [400, '{"error":{"code":"bad","message":"no"}}', ["a"]]);
  answers.set("a", TOO_LONG);
  deepStrictEqual(await went("plain"), [400, "a"]);
});

test("an error that is too large to be held is the client's answer", async () => {
  const body = `{"error":{"code":"context_length_exceeded","message":"${"x".repeat(100_000)}"}}`;
  answers.set("a", answer("400 Bad", body));
  const got = await ask("two");
  deepStrictEqual([got.status, got.body.length, seen], [400, body.length, ["a"]]);
});

test("a provider's failure goes on with the targets of the model first, then with the list of its kind", async () => {
  answers.set("a", answer("429 Slow", "{}"));
  deepStrictEqual(await went("two"), [200, "a", "b"]);
  deepStrictEqual(await went("one"), [200, "a", "quick"]);
  answers.set("a", DOWN);
  deepStrictEqual(await went("one"), [200, "a", "spare"]);
});

test("one of a list that fails is followed by the next one of it, then by the list for how it failed", async () => {
  answers.set("a", TOO_LONG);
  answers.set("long", DOWN);
  deepStrictEqual(await went("one"), [200, "a", "long", "longer"]);
  answers.set("longer", answer("503 No", "{}"));
  deepStrictEqual(await went("one"), [200, "a", "long", "longer", "spare"]);
});

test("a prompt that is too long for one of another list goes to the list for that, and not on with the other one", async () => {
  answers.set("a", answer("429 Slow", "{}"));
  answers.set("quick", TOO_LONG);
  deepStrictEqual(await went("one"), [200, "a", "quick", "long"]);
  answers.set("a", DOWN);
  answers.set("spare", TOO_LONG);
  deepStrictEqual(await went("one"), [200, "a", "spare", "long"]);
});

test("targets that are left alone are passed over, and where all are, the first fallback answers at once", async () => {
  answers.set("a", DOWN);
  deepStrictEqual(
    [await went("one"), await went("one")],
    [
      [200, "a", "spare"],
      [200, "a", "spare"],
    ],
  );
  deepStrictEqual(await went("one"), [200, "spare"]);
  answers.set("spare", DOWN);
  deepStrictEqual(
    [await went("one"), await went("one")],
    [
      [200, "spare", "last"],
      [200, "spare", "last"],
    ],
  );
  deepStrictEqual(await went("one"), [200, "last"]);
});

test("a model without a breaker is tried every time", async () => {
  answers.set("a", DOWN);
  for (let i = 0; i < 5; i += 1) deepStrictEqual(await went("unguarded"), [200, "a", "b"]);
  answers.set("b", DOWN);
  deepStrictEqual(await went("unguarded"), [200, "a", "b", "spare"]);
});

test("without 'attempts' nothing is tried twice; with them the targets of the model are, after a pause", async () => {
  answers.set("a", answer("500 No", "{}"));
  deepStrictEqual(await went("again"), [500, "a", "a"]);
  answers.set("spare", answer("500 No", "{}"));
  deepStrictEqual(await went("plain"), [500, "a", "spare"]);
});

test("a conflict is tried elsewhere and counts for nothing", async () => {
  answers.set("a", answer("409 Conflict", "{}"));
  for (let i = 0; i < 4; i += 1) deepStrictEqual(await went("two"), [200, "a", "b"]);
});

test("the whole body goes to each, with its own name of the model", async () => {
  answers.set("a", TOO_LONG);
  provider.received.length = 0;
  const text = `{"messages":[],"pad":"${"é".repeat(150_000)}","model":"one","n":1.50}`;
  strictEqual((await client.ask(requestBytes({ body: text }))).status, 200);
  const sent = provider.received.map((bytes) => bytes.toString()).join("");
  const bodies = sent
    .split("POST ")
    .slice(1)
    .map((request) => request.split("\r\n\r\n")[1]);
  deepStrictEqual(
    bodies,
    ["a", "long"].map((model) => text.replace('"one"', `"${model}"`)),
  );
  ok(seen.includes("long"));
});
