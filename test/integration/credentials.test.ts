/** Several credentials of one provider, with the real program and two workers: a bad one fails no request and is hardly sent. */
import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import { standardConfig } from "../support/config.ts";
import { chat, streamChat } from "../support/http-client.ts";
import { ScriptedProvider } from "../support/request-path.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";
import { readRecords } from "../support/usage-db.ts";

const SECRETS = ["sk-one-0123456789abcdef", "sk-two-0123456789abcdef", "sk-three-0123456789abcdef"];
const CLIENTS = 8;
const WHOLE = '{"id":"1","object":"chat.completion","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}';
const STREAM = 'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n';

/** How often each credential came. */
const seen = new Map<string, number>();
/** What those are answered with that are not fine. */
const bad = new Map<string, string>();

function answerOf(request: string, secret: string): string {
  const refusal = bad.get(secret);
  const [type, body] = request.includes('"stream":true') ? ["text/event-stream", STREAM] : ["application/json", WHOLE];
  const head = (status: string, length: number) =>
    `HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\ncontent-length: ${length}\r\n\r\n`;
  if (refusal === undefined) return head("200 OK", body?.length ?? 0) + body;
  const quoting = `{"error":{"message":"Incorrect API key provided: ${secret}"}}`;
  return head(refusal, quoting.length) + quoting;
}

/** One request at a time on each connection: the last one is answered when its body is there. */
const provider = await ScriptedProvider.start((socket, received) => {
  const text = received.toString("latin1");
  const request = text.slice(text.lastIndexOf("POST "));
  const [head = "", body] = request.split("\r\n\r\n");
  const length = Number(/content-length: (\d+)/.exec(head)?.[1]);
  if (body === undefined || body.length < length) return;
  const secret = /authorization: Bearer (\S+)/.exec(head)?.[1] ?? "none";
  seen.set(secret, (seen.get(secret) ?? 0) + 1);
  socket.write(answerOf(request, secret));
});
const upstream = await Upstream.start();
const several = {
  base_url: `http://127.0.0.1:${provider.port}/v1`,
  credentials: [{ env: "ONE" }, { env: "TWO" }, { env: "THREE" }],
};
const form = {
  ...standardConfig(upstream),
  workers: 2,
  providers: { several },
  models: { single: { provider: "several", model: "m" } },
  passthrough: "several",
  prices: {},
};
const [ONE = "", TWO = "", THREE = ""] = SECRETS;
const sluice = await Sluice.start(upstream, form, undefined, { ONE, TWO, THREE });
beforeEach(() => seen.clear());
after(async () => {
  await sluice.stop();
  provider.stop();
  await upstream.stop();
});

/** Statuses of `count` requests, eight at a time, each second one a stream. */
async function load(count: number): Promise<Set<number>> {
  const statuses = new Set<number>();
  const client = async () => {
    for (let i = 0; i < count / CLIENTS; i += 1) {
      const body = { model: "single", messages: [{ role: "user", content: "Say it." }] };
      statuses.add((i % 2 === 0 ? await chat(sluice, "", body) : await streamChat(sluice, "", body)).status);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return statuses;
}

const failures = (credential: string) =>
  sluice.metric("sluice_credential_failures_total", { provider: "several", credential });

test("all of them are used alike", async () => {
  deepStrictEqual(await load(120), new Set([200]));
  const counts = SECRETS.map((secret) => seen.get(secret) ?? 0);
  ok(Math.min(...counts) >= 30, `${counts}`);
});

test("one that is refused fails no request, is sent by each client once at most, and is told of once, by its place", async () => {
  bad.set(ONE, "401 Unauthorized");
  deepStrictEqual(await load(400), new Set([200]));
  const count = seen.get(ONE) ?? 0;
  ok(count >= 1 && count <= CLIENTS, `${count} requests with a credential that is refused`);
  strictEqual(await failures("1"), count);
  strictEqual(await sluice.metric("sluice_credential_refused", { provider: "several", credential: "1" }), 1);
  await until("it is in the log", () => sluice.log.includes("credential refused") || undefined);
  strictEqual(sluice.log.split("credential refused").length, 2);
  match(sluice.log, /"credential":1,"from":"the environment variable ONE"/);
  const resting = (credential: string) =>
    sluice.metric("sluice_credential_resting", { provider: "several", credential });
  deepStrictEqual(await Promise.all(["1", "2", "3"].map(resting)), [1, 0, 0]);
});

test("a reload keeps that in mind, and so does a restart that takes over", async () => {
  strictEqual((await sluice.command("reload")).code, 0);
  deepStrictEqual(await load(80), new Set([200]));
  strictEqual((await sluice.command("restart")).code, 0);
  deepStrictEqual(await load(80), new Set([200]));
  strictEqual(seen.get(ONE), undefined);
});

test("one that is limited beside it is left alone as well; the third carries all of it", async () => {
  bad.set(TWO, "429 Too Many Requests\r\nretry-after: 60");
  deepStrictEqual(await load(200), new Set([200]));
  const count = seen.get(TWO) ?? 0;
  ok(count >= 1 && count <= CLIENTS, `${count} requests with a credential that is limited`);
  strictEqual(seen.get(ONE), undefined);
  strictEqual(await failures("2"), count);
});

test("an explained request says whose turn it is, and which of them are left alone", async () => {
  const { text } = await sluice.command("explain", "--key", "default", "--model", "single");
  match(text, /several\/m .*, credential 3 of 3 \(left alone: 1 2\),/);
});

test("records say which one brought each answer, and which were tried before it", async () => {
  const last = await chat(sluice, "", { model: "single", messages: [] });
  strictEqual((await sluice.recordOf(last.requestId)).credential, 3);
  const rows = await until("those that were limited are stored", () => {
    const all = readRecords(sluice.dataDir);
    return all.some(({ decision }) => decision.includes("#2")) ? all : undefined;
  });
  deepStrictEqual(new Set(rows.map(({ credential }) => credential)), new Set([1, 2, 3]));
  const rotated = rows.filter(({ attempts }) => attempts > 1);
  ok(rotated.length >= 2, `${rotated.length} of several attempts`);
  for (const { credential, decision } of rotated) {
    match(decision, /^tries=several\/m#(?:1:credential|2:rate_limit)$/);
    ok(!decision.includes(`#${credential}`), `${decision}, and then ${credential}`);
  }
});

test("when all are limited the client has the provider's answer, without the credential that it quotes", async () => {
  bad.set(THREE, "429 Too Many Requests\r\nretry-after: 60");
  const answer = await chat(sluice, "", { model: "single", messages: [] });
  ok([429, 502].includes(answer.status), answer.text);
  for (const secret of SECRETS) ok(!answer.text.includes(secret));
});

test("no credential is in the log", async () => {
  for (const secret of SECRETS) doesNotMatch(sluice.log, new RegExp(secret));
});
