/** Why it went as it went, told by the real program: in the header x-sluice-explain to who asks and may, in records and in the access log always. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { hashOf, mockProvider, standardConfig } from "../support/config.ts";
import { type Answer, ask, open } from "../support/http-client.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const sick = await Upstream.start();
const well = await Upstream.start();
const SHARED = {
  split: { sticky: "key", arms: ["a", "b"].map((name, share) => ({ name, share, provider: "well", model: name })) },
};
const targets = (...names: string[]) => ({ targets: names.map((provider) => ({ provider, model: "m" })) });
const sluice = await Sluice.start(well, {
  ...standardConfig(well),
  providers: {
    few: mockProvider(well.url),
    slow: { ...mockProvider(sick.url), headers: { "x-mock": "stall-before-head" } },
    ill: {
      ...mockProvider(sick.url),
      headers: { "x-mock": "status=500" },
      health_check: { interval: "1s", timeout: "500ms", unhealthy_after: 1 },
    },
    well: mockProvider(well.url),
    sick: { ...mockProvider(sick.url), headers: { "x-mock": "status=500" } },
  },
  models: {
    chat: targets("sick", "well"),
    none: targets("sick", "sick"),
    "gpt-4o": { provider: "well" },
    shared: SHARED,
    hedged: { ...targets("slow", "well"), hedge: { after: "100ms" } },
    spared: targets("ill", "well"),
    narrow: targets("few", "well"),
    smart: { ...targets("well"), routes: [{ name: "long", when: { prompt_tokens_min: 100 }, ...targets("few") }] },
  },
  prices: { m: { input: 1, output: 10 } },
  passthrough: "well",
  breaker: { failures: "3", cooldown: "1h" },
  keys: ["asks", "may not", "few", "poor"].map((name) => ({ name, hash: hashOf(name), explain: name !== "may not" })),
  rate_limits: [
    { name: "few", scope: ["key"], keys: ["few"], requests: "2/day" },
    { name: "one", scope: ["target"], models: ["narrow"], requests: "1/day" },
  ],
  budgets: [{ name: "poor", scope: ["key"], keys: ["poor"], tokens: 20, per: "total" }],
});
after(async () => {
  await sluice.stop();
  await sick.stop();
  await well.stop();
});

async function chat(key: string, model: string, asks = true): Promise<Answer> {
  const headers = { authorization: `Bearer ${key}`, ...(asks ? { "x-sluice-explain": "1" } : {}) };
  return ask(sluice, "/chat/completions", { body: { model, max_tokens: 5, messages: [] }, headers });
}

function why(answer: Answer): string | null {
  return answer.headers.get("x-sluice-explain");
}

/** Of its record, and of its line in the access log. */
async function recorded(answer: Answer): Promise<string> {
  const { decision } = await sluice.recordOf(answer.requestId);
  const line = await until("its line is in the log", async () =>
    (await sluice.accessLogText())
      .split("\n")
      .find((text) => text.includes(`"request_id":"${answer.requestId}"`) && text.includes('"kind":"request"')),
  );
  strictEqual(JSON.parse(line).decision, decision);
  return decision;
}

test("a fallback is told with the try before it, and a breaker that opened with it afterwards", async () => {
  const first = await chat("asks", "chat");
  deepStrictEqual(
    [first.status, why(first)],
    [200, "route=chat; strategy=priority; target=well/m; tries=sick/m:server_error,well/m:200"],
  );
  strictEqual(await recorded(first), "tries=sick/m:server_error");
  await chat("asks", "chat");
  await chat("asks", "chat");
  const last = await chat("asks", "chat");
  strictEqual(why(last), "route=chat; strategy=priority; target=well/m; tries=well/m:200; open=sick/m");
  strictEqual(await recorded(last), "open=sick/m");
  const none = await chat("asks", "none");
  deepStrictEqual([none.status, why(none)], [503, "route=none; strategy=priority; open=sick/m,sick/m"]);
});

test("a stream is told with its head, and a plain request in a few words, of which nothing is recorded", async () => {
  const headers = { authorization: "Bearer asks", "x-sluice-explain": "1" };
  const stream = await open(sluice, "/chat/completions", {
    body: { model: "gpt-4o", stream: true, messages: [] },
    headers,
  });
  strictEqual(stream.headers.get("x-sluice-explain"), "route=gpt-4o; target=well/gpt-4o; tries=well/gpt-4o:200");
  match(await stream.text(), /\[DONE\]/);
  strictEqual(await recorded(await chat("asks", "gpt-4o")), "");
});

test("the arm of a model that is shared out is told, and recorded", async () => {
  const answer = await chat("asks", "shared");
  strictEqual(why(answer), "route=shared; arm=b; target=well/b; tries=well/b:200");
  strictEqual(await recorded(answer), "arm=b");
});

test("an attempt that another one was faster than is told as slower", async () => {
  const answer = await chat("asks", "hedged");
  strictEqual(why(answer), "route=hedged; strategy=priority; target=well/m; tries=slow/m:slower,well/m:200");
  strictEqual(await recorded(answer), "tries=slow/m:slower");
  const { text } = await sluice.command("explain", "--key", "asks", "--model", "hedged");
  match(text, /^route +hedged: priority, up to 2 tries, a second one beside it after 100ms$/m);
});

test("a provider whose checks fail is told as unhealthy, where it was passed over", async () => {
  await until("it is known", () => sluice.log.includes("provider is unhealthy"));
  const answer = await chat("asks", "spared");
  strictEqual(why(answer), "route=spared; strategy=priority; target=well/m; tries=well/m:200; unhealthy=ill/m");
  strictEqual(await recorded(answer), "unhealthy=ill/m");
  const { text } = await sluice.command("explain", "--key", "asks", "--model", "spared");
  match(text, /^ {2}- +ill\/m +0 % .*its provider is unhealthy, as its checks say$/m);
});

test("a target whose limit has no room is told as full, by the request that was sent elsewhere and by who asks before", async () => {
  const decided = (answer: Answer) => why(answer)?.replace(/; limits=.*/, "");
  const first = await chat("asks", "narrow");
  strictEqual(decided(first), "route=narrow; strategy=priority; target=few/m; tries=few/m:200");
  const { text } = await sluice.command("explain", "--key", "asks", "--model", "narrow");
  match(text, /^ {2}1\. +well\/m +100 %/m);
  match(text, /^ {2}- +few\/m +0 % .*its limit 'one' has no room$/m);
  match(text, /^answer +that of well\/m$/m);
  const second = await chat("asks", "narrow");
  strictEqual(decided(second), "route=narrow; strategy=priority; target=well/m; tries=well/m:200; full=few/m");
  strictEqual(await recorded(second), "full=few/m");
});

test("the route of a condition is told by its name, recorded, and explained", async () => {
  const body = { model: "smart", messages: [{ role: "user", content: "x".repeat(500) }] };
  const headers = { authorization: "Bearer asks", "x-sluice-explain": "1" };
  const answer = await ask(sluice, "/chat/completions", { body, headers });
  strictEqual(why(answer), "route=smart/long; target=few/m; tries=few/m:200");
  strictEqual(await recorded(answer), "route=smart/long");
  const asked = ["--key", "asks", "--model", "smart", "--prompt-tokens"];
  match((await sluice.command("explain", ...asked, "120")).text, /^route +smart\/long$/m);
  match((await sluice.command("explain", ...asked, "10")).text, /^route +smart$/m);
});

test("nobody is told who does not ask, or whose key may not", async () => {
  deepStrictEqual([why(await chat("may not", "chat")), why(await chat("asks", "chat", false))], [null, null]);
  const wrong = await chat("nobody's", "chat");
  deepStrictEqual([wrong.status, why(wrong)], [401, null]);
});

test("limits are told with what was left, and the rule that refuses by its name, for the record as well", async () => {
  const answers = [await chat("few", "gpt-4o"), await chat("few", "gpt-4o"), await chat("few", "gpt-4o")];
  deepStrictEqual(
    answers.map((answer) => [answer.status, why(answer)?.replace(/.*; (?=limits)/, "")]),
    [
      [200, "limits=few:requests:2/2"],
      [200, "limits=few:requests:1/2"],
      [429, "limits=few:requests:0/2; limit=few"],
    ],
  );
  for (const refused of answers.slice(2)) strictEqual(await recorded(refused), "limit=few");
  const [passed, poor] = [await chat("poor", "gpt-4o"), await chat("poor", "gpt-4o")];
  deepStrictEqual([passed.status, poor.status], [200, 402]);
  strictEqual(await recorded(poor), "limit=poor");
});

test("what is for the gateway does not reach the provider", async () => {
  const seen = [...(await well.journal()).requests, ...(await sick.journal()).requests];
  strictEqual(seen.length > 0, true);
  strictEqual(JSON.stringify(seen).includes("x-sluice"), false);
});
