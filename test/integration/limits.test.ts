/** Limits of the real program with two workers: what clients see of them, and what reloads, restarts and dead workers leave of them. */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { RateLimitError } from "openai";
import { type ConfigForm, hashOf, KEY, standardConfig } from "../support/config.ts";
import { type Answer, ask, errorOf, open } from "../support/http-client.ts";
import { Sluice } from "../support/sluice.ts";
import { sdkOf, startStage } from "../support/stage.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const KEYS = [
  "requests",
  "sdk",
  "reload",
  "crash",
  "held",
  "killed",
  "tokens",
  "beyond",
  "unsaid",
  "numbers",
  "none",
  "prompts",
  "window",
  "large",
  "observed",
  "users",
  "address",
  "team a",
  "team b",
] as const;
type KeyName = (typeof KEYS)[number];

const RULES = [
  { name: "few", scope: ["key"], keys: ["requests", "reload", "crash"], requests: "5/day" },
  { name: "again", scope: ["key"], keys: ["sdk"], requests: "2/s", burst: 1 },
  { name: "at once", scope: ["key"], keys: ["held", "killed"], concurrency: 4 },
  { name: "hundred", scope: ["key"], keys: ["tokens", "beyond", "unsaid", "large"], tokens: "100/day" },
  { name: "prompts", scope: ["key"], keys: ["numbers"], input_tokens: "10/day" },
  { name: "answers", scope: ["key"], keys: ["none"], output_tokens: "10/day" },
  { name: "lists", scope: ["key"], keys: ["prompts"], output_tokens: "100/day" },
  { name: "window", scope: ["key", "model"], keys: ["window"], requests: "3/day", algorithm: "fixed_window" },
  { scope: ["user"], keys: ["users"], requests: "2/day" },
  { scope: ["address", "key"], keys: ["address"], requests: "2/day" },
  { scope: ["team"], requests: "3/day" },
  { name: "observed", scope: ["key"], keys: ["observed"], requests: "1/day", mode: "observe" },
];

function configOf(upstream: Upstream, rules: ConfigForm["rate_limits"] = RULES): ConfigForm {
  const team = (name: string) => (name.startsWith("team") ? { team: "both" } : {});
  const keys = KEYS.map((name) => ({ name, hash: hashOf(secretOf(name)), ...team(name) }));
  return {
    ...standardConfig(upstream),
    workers: 2,
    keys: [{ name: "default", hash: hashOf(KEY) }, ...keys],
    rate_limits: rules ?? [],
  };
}

const { sluice, upstream } = await startStage(configOf);

function secretOf(name: KeyName): string {
  return `sk-of-${name}`;
}

const CHAT = { model: "gpt-4o", messages: [{ role: "user", content: "Say it." }] };

function asked(name: KeyName, fields: object = {}, fault = "") {
  return { body: { ...CHAT, ...fields }, headers: { authorization: `Bearer ${secretOf(name)}`, "x-mock": fault } };
}

async function chat(name: KeyName, fields: object = {}, fault = ""): Promise<Answer> {
  // A connection each: both workers get some.
  const { body, headers } = asked(name, fields, fault);
  return ask(sluice, "/chat/completions", { body, headers: { ...headers, connection: "close" } });
}

async function statuses(name: KeyName, count: number, fields: object = {}): Promise<number[]> {
  const list: number[] = [];
  for (let i = 0; i < count; i += 1) list.push((await chat(name, fields)).status);
  return list;
}

async function requestsUpstream(): Promise<number> {
  return (await upstream.journal()).requestsTotal;
}

test("a key's requests beyond its limit are refused, and say when to come again", async () => {
  const first = await chat("requests");
  deepStrictEqual([first.status, first.headers.get("x-ratelimit-limit-requests")], [200, "5"]);
  strictEqual(first.headers.get("x-ratelimit-remaining-requests"), "4");
  strictEqual(first.headers.get("x-ratelimit-reset-requests"), "4h48m0s");
  deepStrictEqual(await statuses("requests", 5), [200, 200, 200, 200, 429]);
  const refused = await chat("requests");
  strictEqual(errorOf(refused)["code"], "rate_limit_exceeded");
  match(String(errorOf(refused)["message"]), /5 requests per day \(limit 'few'\)/);
  const retryS = Number(refused.headers.get("retry-after"));
  ok(retryS > 17_000 && retryS <= 17_280, `retry after ${retryS} s`);
  ok(Math.abs(Number(refused.headers.get("retry-after-ms")) - retryS * 1_000) <= 1_000);
  strictEqual(refused.headers.get("x-ratelimit-remaining-requests"), "0");
  strictEqual(await requestsUpstream(), 5);
  strictEqual(await sluice.metric("sluice_limit_rejections_total", { limit: "few", quantity: "requests" }), 2);
});

test("what is not limited has no headers of limits", async () => {
  const answer = await ask(sluice, "/chat/completions", { body: CHAT });
  deepStrictEqual([answer.status, answer.headers.get("x-ratelimit-limit-requests")], [200, null]);
});

test("the official SDK sees a RateLimitError with its headers, and its own retry waits as long as it has to", async () => {
  const once = sdkOf(sluice, { apiKey: secretOf("sdk") });
  const create = (sdk: typeof once) => sdk.chat.completions.create({ model: "gpt-4o", messages: [] });
  await create(once);
  await rejects(create(once), (error) => {
    ok(error instanceof RateLimitError);
    strictEqual(error.code, "rate_limit_exceeded");
    strictEqual(error.headers.get("x-ratelimit-limit-requests"), "2");
    const retryMs = Number(error.headers.get("retry-after-ms"));
    return retryMs > 0 && retryMs <= 500;
  });
  const answer = await create(sdkOf(sluice, { apiKey: secretOf("sdk"), maxRetries: 5 }));
  strictEqual(answer.object, "chat.completion");
});

test("a reload that changes other rules, or this one's number, leaves what was used", async () => {
  deepStrictEqual(await statuses("reload", 4), [200, 200, 200, 200]);
  const more = { ...RULES[0], requests: "6/day" };
  await sluice.configure(configOf(upstream, [{ scope: ["model"], requests: "1000/s" }, more, ...RULES.slice(1)]));
  const { code } = await sluice.command("reload");
  strictEqual(code, 0);
  const answer = await chat("reload");
  strictEqual(answer.headers.get("x-ratelimit-limit-requests"), "6");
  strictEqual(answer.headers.get("x-ratelimit-remaining-requests"), "1");
  deepStrictEqual(await statuses("reload", 2), [200, 429]);
  await sluice.configure(configOf(upstream));
  strictEqual((await sluice.command("reload")).code, 0);
});

test("a kill -9 of everything, and a restart, leave what was used", async () => {
  deepStrictEqual(await statuses("crash", 3), [200, 200, 200]);
  await sluice.kill();
  await sluice.launch();
  deepStrictEqual(await statuses("crash", 1), [200]);
  strictEqual((await sluice.command("restart")).code, 0);
  deepStrictEqual(await statuses("crash", 2), [200, 429]);
});

test("requests at a time are as many as the limit says, over both workers, and a permit comes back with the answer", async () => {
  const running = await Promise.all(
    Array.from({ length: 4 }, () => open(sluice, "/chat/completions", asked("held", { stream: true }, "hold=held"))),
  );
  deepStrictEqual(await statuses("held", 3), [429, 429, 429]);
  await upstream.open("held");
  for (const answer of running) match(await answer.text(), /\[DONE\]/);
  deepStrictEqual(await statuses("held", 3), [200, 200, 200]);
});

test("the permits of a worker that is killed come back by themselves", async () => {
  const running = await Promise.all(
    Array.from({ length: 4 }, () =>
      open(sluice, "/chat/completions", asked("killed", { stream: true }, "hold=killed")),
    ),
  );
  strictEqual((await chat("killed")).status, 429);
  const answers = running.map((answer) => answer.text().catch(() => "cut"));
  for (const pid of sluice.workerPids()) process.kill(pid, "SIGKILL");
  deepStrictEqual(await Promise.all(answers), ["cut", "cut", "cut", "cut"]);
  await until("permits are there again", async () => {
    const status = await chat("killed").then(
      (answer) => answer.status,
      () => 0,
    );
    return status === 200;
  });
  await upstream.open("killed");
});

/** Tokens of the answers to fifty requests at a time that allow `max_tokens` each, and how many were answered. */
async function crowd(name: KeyName, fields: object): Promise<{ tokens: number; passed: number }> {
  const answers = await Promise.all(Array.from({ length: 50 }, () => chat(name, fields)));
  deepStrictEqual(new Set(answers.map(({ status }) => status)), new Set([200, 429]));
  const used = answers.flatMap(({ status, text }) =>
    status === 200 ? [Number(JSON.parse(text).usage.total_tokens)] : [],
  );
  return { tokens: used.reduce((a, b) => a + b, 0), passed: used.length };
}

test("fifty requests at a time do not pass a limit of 100 tokens, because each reserves what it may use", async () => {
  const { tokens, passed } = await crowd("tokens", { max_tokens: 40 });
  ok(passed >= 2 && tokens <= 100, `${tokens} tokens in ${passed} answers`);
});

test("a provider that gives more than it was asked for passes the limit by no more than that", async () => {
  // 3 of the prompt and 20 are reserved, 30 are used.
  const { tokens, passed } = await crowd("beyond", { max_tokens: 20 });
  ok(tokens <= 100 + passed * (30 - 23), `${tokens} tokens in ${passed} answers`);
});

test("a request that does not say how much it wants reserves all there is, and is not refused for that", async () => {
  const { tokens, passed } = await crowd("unsaid", {});
  ok(passed >= 1 && tokens <= 100, `${tokens} tokens in ${passed} answers`);
});

test("what nobody can know before, such as a prompt in numbers, is counted as its provider says it", async () => {
  const { headers } = asked("numbers");
  const body = { model: "text-embedding-3-small", input: [[1, 2, 3]] };
  const list: number[] = [];
  for (let i = 0; i < 3; i += 1) list.push((await ask(sluice, "/embeddings", { body, headers })).status);
  // 8 tokens each.
  deepStrictEqual(list, [200, 200, 429]);
});

test("a request that allows no answer is counted with the one that it gets", async () => {
  // 9 tokens each.
  deepStrictEqual(await statuses("none", 3, { max_tokens: 0 }), [200, 200, 429]);
});

test("each prompt of a list, and each answer of which the best is taken, reserves what the request allows", async () => {
  const { headers } = asked("prompts");
  const complete = async (fields: object) => {
    const body = { model: "gpt-4o", max_tokens: 30, ...fields };
    return (await ask(sluice, "/completions", { body, headers })).status;
  };
  strictEqual(await complete({ prompt: ["a", "b", "c", "d"] }), 429);
  strictEqual(await complete({ prompt: [[1], [2], [3], [4]] }), 429);
  strictEqual(await complete({ prompt: ["a", "b"], n: 2 }), 429);
  strictEqual(await complete({ prompt: "a", best_of: 4 }), 429);
  strictEqual(await complete({ prompt: [1, 2, 3, 4] }), 200);
  strictEqual(await complete({ prompt: ["a", "b", "c"] }), 200);
});

test("a window begins anew with its period, and counts pairs of key and model apart", async () => {
  deepStrictEqual(await statuses("window", 4), [200, 200, 200, 429]);
  strictEqual((await chat("window", { model: "gpt-4o-mini" })).status, 200);
});

test("a request that is more than a limit ever has is told not to come again", async () => {
  const answer = await chat("large", { max_tokens: 1_000 });
  strictEqual(answer.status, 429);
  strictEqual(errorOf(answer)["code"], "request_exceeds_limit");
  strictEqual(answer.headers.get("x-should-retry"), "false");
  strictEqual(answer.headers.get("retry-after"), null);
});

test("an observing limit shows itself, counts, and refuses nothing", async () => {
  deepStrictEqual(await statuses("observed", 3), [200, 200, 200]);
  strictEqual(await sluice.metric("sluice_limit_observed_total", { limit: "observed" }), 2);
  strictEqual(await sluice.metric("sluice_limit_rejections_total", { limit: "observed" }), 0);
});

test("users are told apart by the request's own field, however it is spelled", async () => {
  deepStrictEqual(await statuses("users", 2, { user: "a-ü" }), [200, 200]);
  const body = JSON.stringify({ ...CHAT, user: "a-ü" }).replace("a-ü", "\\u0061-\\u00fc");
  const { headers } = asked("users");
  strictEqual((await ask(sluice, "/chat/completions", { body, headers })).status, 429);
  deepStrictEqual(await statuses("users", 1, { user: "b" }), [200]);
  // A number is a user as well, by its spelling.
  deepStrictEqual(await statuses("users", 3, { user: 7 }), [200, 200, 429]);
  deepStrictEqual(await statuses("users", 1, { user: "7" }), [429]);
  deepStrictEqual(await statuses("users", 1, { user: 8 }), [200]);
  // Nobody's requests are nobody's.
  deepStrictEqual(await statuses("users", 3), [200, 200, 200]);
  deepStrictEqual(await statuses("users", 3, { user: null }), [200, 200, 200]);
});

test("clients are told apart by their addresses, and the keys of a team are not", async () => {
  deepStrictEqual(await statuses("address", 3), [200, 200, 429]);
  const explained = async (...address: string[]) => {
    const { text } = await sluice.command("explain", "--key", "address", "--model", "gpt-4o", "--json", ...address);
    const { limits, refusal } = JSON.parse(text);
    return [limits.length, refusal?.status ?? null];
  };
  deepStrictEqual(await explained("--address", "127.0.0.1"), [1, 429]);
  deepStrictEqual(await explained("--address", "127.0.0.2"), [1, null]);
  deepStrictEqual(await explained(), [0, null]);
  const both = [...(await statuses("team a", 2)), ...(await statuses("team b", 2))];
  deepStrictEqual(both, [200, 200, 200, 429]);
});

/** Another gateway, with these rules, and a provider of its own. */
async function aside(context: TestContext, rules: NonNullable<ConfigForm["rate_limits"]>) {
  const provider = await Upstream.start();
  const own = await Sluice.start(provider, { rate_limits: rules });
  context.after(async () => {
    await own.stop();
    await provider.stop();
  });
  return { own, provider };
}

test("a large body that is sent on while it arrives is limited before any of it is", async (context) => {
  const { own, provider } = await aside(context, [{ scope: ["key"], requests: "1/day" }]);
  const messages = [{ role: "user", content: "x".repeat(1_000_000) }];
  const send = () => ask(own, "/chat/completions", { body: { ...CHAT, messages } });
  strictEqual((await send()).status, 200);
  const refused = await send();
  deepStrictEqual([refused.status, refused.headers.get("x-ratelimit-remaining-requests")], [429, "0"]);
  strictEqual((await provider.journal()).requestsTotal, 1);
});

test("a large body is weighed whole where its tokens are limited", async (context) => {
  const { own, provider } = await aside(context, [{ scope: ["key"], input_tokens: "200_000/day" }]);
  const messages = [{ role: "user", content: "x".repeat(1_000_000) }];
  const refused = await ask(own, "/chat/completions", { body: { ...CHAT, messages } });
  strictEqual(errorOf(refused)["code"], "request_exceeds_limit");
  strictEqual((await provider.journal()).requestsTotal, 0);
});
