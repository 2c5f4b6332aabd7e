/** Routes with conditions, capabilities and overrides of the real program: which model a provider is asked for, and what it sees of the request. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { hashOf, KEY } from "../support/config.ts";
import { ask } from "../support/http-client.ts";
import { startStage } from "../support/stage.ts";

const LARGE = 300_000;
const { sluice, upstream } = await startStage(() => ({
  models: {
    chat: {
      targets: [
        { provider: "mock", model: "small", context_window: 1_000 },
        { provider: "mock", model: "wide", supports: ["tools"] },
      ],
      routes: [
        { name: "images", when: { images: true }, provider: "mock", model: "eyes" },
        {
          name: "gold",
          when: { key: { tier: "gold" }, header: { "x-sluice-tier": "gold" } },
          provider: "mock",
          model: "best",
        },
        { name: "hard", when: { body: { reasoning_effort: "high" } }, provider: "mock", model: "deep" },
      ],
    },
  },
  keys: [{ name: "default", hash: hashOf(KEY), metadata: { tier: "gold" }, overrides: true }],
}));

/** The model that the provider was asked for. */
async function modelFor(fields: object, headers: Readonly<Record<string, string>> = {}): Promise<string> {
  await upstream.reset();
  const body = { model: "chat", messages: [{ role: "user", content: "Hello" }], ...fields };
  const answer = await ask(sluice, "/chat/completions", { body, headers });
  strictEqual(answer.status, 200, answer.text);
  const { head, body: sent } = await upstream.lastRequest();
  ok(!head.toLowerCase().includes("x-sluice-"), head);
  return /"model":"(\w+)"/.exec(Buffer.from(sent, "base64").toString())?.[1] ?? "";
}

const image = { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:," } }] }] };

test("each request goes where its conditions say", async () => {
  deepStrictEqual(
    [
      await modelFor({}),
      await modelFor(image),
      await modelFor({}, { "x-sluice-tier": "gold" }),
      await modelFor({ reasoning_effort: "high" }),
      await modelFor({ reasoning_effort: "low" }),
    ],
    ["small", "eyes", "best", "deep", "small"],
  );
});

test("a large body that says at its end what decides is waited for", async () => {
  const messages = [{ role: "user", content: "x".repeat(LARGE) }];
  deepStrictEqual(
    [await modelFor({ messages, reasoning_effort: "high" }), await modelFor({ messages })],
    ["deep", "wide"],
  );
});

test("a request that may choose does", async () => {
  deepStrictEqual(
    [
      await modelFor({}, { "x-sluice-route": "hard" }),
      await modelFor({}, { "x-sluice-target": "mock/wide" }),
      await modelFor(image, { "x-sluice-target": "mock/best", "x-sluice-attempts": "1" }),
    ],
    ["deep", "wide", "best"],
  );
});
