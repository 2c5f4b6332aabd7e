/** Gateway keys: header styles, states, allowed models, and the models that a key sees. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { hashOf, KEY } from "../support/config.ts";
import { ask, errorOf } from "../support/http-client.ts";
import { startStage } from "../support/stage.ts";

const { sluice, upstream } = await startStage(() => ({
  keys: [
    { name: "default", hash: hashOf(KEY) },
    { name: "off", hash: hashOf("sk-off"), enabled: false },
    { name: "old", hash: hashOf("sk-old"), expires: "2020-01-01T00:00:00Z" },
    { name: "young", hash: hashOf("sk-young"), expires: "2999-01-01T00:00:00Z" },
    { name: "narrow", hash: hashOf("sk-narrow"), models: ["gpt-4o-mini"] },
  ],
}));

const body = '{"model":"gpt-4o","messages":[]}';

/** Status and error code of a chat request with exactly these headers. */
async function outcome(headers: Record<string, string>, asked = body): Promise<(number | unknown)[]> {
  const answer = await ask(sluice, "/chat/completions", { body: asked, headers: { authorization: "", ...headers } });
  return answer.status === 200 ? [200] : [answer.status, errorOf(answer)["code"]];
}

const GOOD: Record<string, string>[] = [
  { authorization: `Bearer ${KEY}` },
  { authorization: `bearer ${KEY}` },
  { "api-key": KEY },
  { "x-api-key": KEY },
  { authorization: "Bearer sk-young" },
];

for (const headers of GOOD) {
  test(`a valid key is taken: ${JSON.stringify(headers)}`, async () => {
    deepStrictEqual(await outcome(headers), [200]);
  });
}

const REFUSED: [string, Record<string, string>, number, string][] = [
  ["no key", {}, 401, "missing_api_key"],
  ["a wrong key", { authorization: "Bearer sk-wrong" }, 401, "invalid_api_key"],
  ["an empty bearer", { authorization: "Bearer " }, 401, "missing_api_key"],
  ["a very long key", { "api-key": "k".repeat(4_000) }, 401, "invalid_api_key"],
  ["the hash itself", { "api-key": hashOf(KEY).slice(7) }, 401, "invalid_api_key"],
  ["a disabled key", { "x-api-key": "sk-off" }, 401, "key_disabled"],
  ["an expired key", { authorization: "Bearer sk-old" }, 401, "key_expired"],
  ["a key without this model", { authorization: "Bearer sk-narrow" }, 403, "model_not_allowed"],
];

for (const [what, headers, status, code] of REFUSED) {
  test(`refused, and never seen upstream: ${what}`, async () => {
    deepStrictEqual(await outcome(headers), [status, code]);
    strictEqual((await upstream.journal()).requestsTotal, 0);
  });
}

test("a key with a list of models may use those", async () => {
  deepStrictEqual(await outcome({ "api-key": "sk-narrow" }, '{"model":"gpt-4o-mini"}'), [200]);
});

test("a key with a list of models sees only those", async () => {
  const answer = await ask(sluice, "/models", { headers: { authorization: "Bearer sk-narrow" } });
  const { data }: { data: { id: string }[] } = JSON.parse(answer.text);
  deepStrictEqual(
    data.map(({ id }) => id),
    ["gpt-4o-mini"],
  );
});

test("the model list needs a key", async () => {
  const answer = await ask(sluice, "/models", { headers: { authorization: "" } });
  deepStrictEqual([answer.status, errorOf(answer)["code"]], [401, "missing_api_key"]);
});
