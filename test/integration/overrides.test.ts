/** What a request may choose for itself, in the real program: less time for all of it, and another strategy; and who may not, and what is nothing. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { STRATEGIES } from "../../src/config/snapshot.ts";
import { hashOf, KEY, mockProvider } from "../support/config.ts";
import { type Answer, ask, errorOf } from "../support/http-client.ts";
import { startStage } from "../support/stage.ts";
import { until } from "../support/until.ts";

const LARGE = 300_000;
const NARROW = "sk-narrow";
const BUSY = "sk-busy";

const { sluice, upstream } = await startStage((provider) => ({
  providers: { one: mockProvider(provider.url), two: mockProvider(provider.url) },
  models: {
    chat: {
      targets: [
        { provider: "one", model: "dear" },
        { provider: "two", model: "cheap" },
      ],
    },
  },
  prices: { dear: { input: 10, output: 10 }, cheap: { input: 1, output: 1 } },
  passthrough: "one",
  timeouts: { drain: "5s", first_byte: "10m", total: "10m", idle: "10m" },
  keys: [
    { name: "default", hash: hashOf(KEY), overrides: true, explain: true },
    { name: "narrow", hash: hashOf(NARROW), overrides: ["attempts"] },
    { name: "busy", hash: hashOf(BUSY), overrides: ["timeout"] },
  ],
  rate_limits: [{ name: "once", scope: ["key"], keys: ["busy"], concurrency: 1 }],
  rate_limit_queue: { max_wait: "30s" },
}));

type Headers = Readonly<Record<string, string>>;

function chat(headers: Headers, fields: object = {}): Promise<Answer> {
  const body = { model: "chat", messages: [{ role: "user", content: "Hello" }], ...fields };
  return ask(sluice, "/chat/completions", { body, headers });
}

async function providers(count: number, headers: Headers, fields: object = {}): Promise<string[]> {
  const seen: string[] = [];
  for (let i = 0; i < count; i += 1) {
    const answer = await chat(headers, fields);
    strictEqual(answer.status, 200, answer.text);
    seen.push((await sluice.recordOf(answer.requestId)).provider);
  }
  return seen;
}

test("a provider that hangs costs a request no more time than it gave itself, and is blamed for nothing", async () => {
  const answer = await chat({ "x-sluice-timeout-ms": "200", "x-sluice-explain": "1", "x-mock": "stall-before-head" });
  deepStrictEqual([answer.status, errorOf(answer)["code"]], [504, "upstream_total_timeout"]);
  match(answer.headers.get("x-sluice-explain") ?? "", /strategy=priority; target=one\/dear; timeout_ms=200; tries=/);
  strictEqual((await upstream.journal()).requestsTotal, 1, "no other target is tried in no time");
  strictEqual(await sluice.metric("sluice_target_failures_total", { provider: "one", model: "dear" }), 0);
  strictEqual((await chat({ "x-sluice-timeout-ms": "999999999" })).status, 200);
});

test("a stream that takes longer ends with an error event, and a request without a model has the same", async () => {
  const { status, text } = await chat({ "x-sluice-timeout-ms": "300", "x-mock": "stall-mid-stream" }, { stream: true });
  strictEqual(status, 200);
  match(text, /"code":"upstream_total_timeout"\}\}\n\n$/);
  const files = await ask(sluice, "/files", {
    headers: { "x-sluice-timeout-ms": "200", "x-mock": "stall-before-head" },
  });
  deepStrictEqual([files.status, errorOf(files)["code"]], [504, "upstream_total_timeout"]);
});

test("who waits for a limit until its time is over is told of the limit", async () => {
  const busy = { authorization: `Bearer ${BUSY}` };
  const first = chat({ ...busy, "x-mock": "hold=busy" });
  await until("it is upstream", async () => (await upstream.journal()).requestsTotal === 1 || undefined);
  const second = await chat({ ...busy, "x-sluice-timeout-ms": "300" });
  deepStrictEqual([second.status, errorOf(second)["code"]], [429, "rate_limit_exceeded"]);
  ok(Number(second.headers.get("retry-after-ms")) > 0);
  await upstream.open("busy");
  strictEqual((await first).status, 200);
});

test("another strategy than the model's, also for a large body that it goes by", async () => {
  deepStrictEqual(await providers(2, {}), ["one", "one"]);
  deepStrictEqual((await providers(2, { "x-sluice-strategy": "round_robin" })).toSorted(), ["one", "two"]);
  const messages = [{ role: "user", content: "x".repeat(LARGE) }];
  deepStrictEqual(await providers(1, { "x-sluice-strategy": "cost" }, { messages }), ["two"]);
  const { headers } = await chat({ "x-sluice-strategy": "cost", "x-sluice-explain": "1" });
  match(headers.get("x-sluice-explain") ?? "", /route=chat; strategy=cost; target=two\/cheap/);
});

test("what is nothing is refused with what would be something, and nobody may who was not permitted", async () => {
  const wrong = await chat({ "x-sluice-strategy": "best" });
  deepStrictEqual([wrong.status, errorOf(wrong)["code"]], [400, "invalid_override"]);
  ok(String(errorOf(wrong)["message"]).includes(`x-sluice-strategy (${STRATEGIES.join(", ")})`));
  const soon = await ask(sluice, "/models", { headers: { "x-sluice-timeout-ms": "soon" } });
  deepStrictEqual([soon.status, errorOf(soon)["code"]], [400, "invalid_override"]);
  match(String(errorOf(soon)["message"]), /x-sluice-timeout-ms \(1 to 999999999\)/);
  for (const header of ["x-sluice-timeout-ms", "x-sluice-strategy"]) {
    const refused = await chat({ authorization: `Bearer ${NARROW}`, [header]: header.endsWith("ms") ? "1" : "hash" });
    deepStrictEqual([refused.status, errorOf(refused)["code"]], [403, "override_not_allowed"]);
    ok(String(errorOf(refused)["message"]).includes(header));
  }
  strictEqual((await upstream.journal()).requestsTotal, 0);
});

test("sluice explain tells what a request would have chosen", async () => {
  const headers = ["--header", "x-sluice-strategy: cost", "--header", "x-sluice-timeout-ms: 1500"];
  const { code, text } = await sluice.command("explain", "--key", "default", "--model", "chat", ...headers);
  strictEqual(code, 0, text);
  match(text, /^request .*, 1\.5s for all of it$/m);
  match(text, /^route +chat: cost, up to 2 tries$/m);
  match(text, /^answer +that of two\/cheap$/m);
  const refused = await sluice.command("explain", "--key", "narrow", "--model", "chat", ...headers);
  match(refused.text, /^answer +403 override_not_allowed: /m);
});
