/** A provider that fails, with others behind it: its requests are answered all the same, and nothing is tried that must not be. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import { freePort } from "../../native-bench/contestants/free-port.ts";
import { mockProvider, standardConfig } from "../support/config.ts";
import { ask, chat, errorOf, open, streamChat } from "../support/http-client.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { bodyText, Upstream } from "../support/upstream.ts";
import { attemptsOf } from "../support/usage-db.ts";

const LONG_NAME = `a-name-much-longer-than-the-one-before/${"x".repeat(60)}`;
/** What makes a provider sick: an outage in each of its forms. */
const OUTAGES = {
  resetting: "reset-before-head",
  closing: "close-before-head",
  babbling: "garbage",
  hanging: "stall-before-head",
  failing: "status=500",
  overloaded: "status=503",
  limited: "status=429",
  locked: "status=401",
};
const sick = await Upstream.start();
const well = await Upstream.start();
const nobody = await freePort();
const providers = {
  well: mockProvider(well.url),
  refusing: mockProvider(`http://127.0.0.1:${nobody}/v1`),
  wrong: { ...mockProvider(sick.url), headers: { "x-mock": "status=400" } },
  breaking: { ...mockProvider(sick.url), headers: { "x-mock": "cut-mid-stream" } },
  ...Object.fromEntries(
    Object.entries(OUTAGES).map(([name, fault]) => [name, { ...mockProvider(sick.url), headers: { "x-mock": fault } }]),
  ),
};
const behind = Object.keys(providers).map((name) => [
  `${name}-first`,
  {
    targets: [
      { provider: name, model: "m" },
      { provider: "well", model: LONG_NAME },
    ],
  },
]);
const sluice = await Sluice.start(well, {
  ...standardConfig(well),
  timeouts: { drain: "5s", first_byte: "300ms" },
  providers,
  models: {
    ...Object.fromEntries(behind),
    "all-sick": { targets: [{ provider: "failing" }, { provider: "refusing" }] },
    again: { provider: "failing", attempts: 3 },
  },
  passthrough: "well",
  retries: { pause: "100ms", budget_min: 4, budget_percent: 0 },
});
beforeEach(async () => {
  await sick.reset();
  await well.reset();
});
after(async () => {
  await sluice.stop();
  await sick.stop();
  await well.stop();
});

function body(model: string, fields: object = {}): object {
  return { ...fields, model, messages: [{ role: "user", content: "Say it." }] };
}

for (const name of ["refusing", ...Object.keys(OUTAGES)]) {
  test(`a provider that is ${name} fails no request, whole or streamed`, async () => {
    const whole = await chat(sluice, "", body(`${name}-first`));
    const streamed = await streamChat(sluice, "", body(`${name}-first`));
    deepStrictEqual([whole.status, streamed.status], [200, 200], whole.text + streamed.text);
    ok(streamed.text.endsWith("data: [DONE]\n\n"));
    const { requests } = await well.journal();
    deepStrictEqual(
      requests.map((seen) => JSON.parse(bodyText(seen)).model),
      [LONG_NAME, LONG_NAME],
    );
    const record = await sluice.recordOf(whole.requestId);
    deepStrictEqual([record.provider, record.attempts, record.status], ["well", 2, 200]);
  });
}

test("the log names the provider that failed, and not the one that was asked in its place", async () => {
  const lines = () => sluice.log.split("\n").filter((line) => line.includes("provider failed"));
  await until("it is told of", () => lines().some((line) => line.includes('"provider":"refusing"')));
  const [refusing = ""] = lines().filter((line) => line.includes('"provider":"refusing"'));
  match(refusing, /"code":"upstream_unreachable","cause":"[^"]*Connection refused/);
  deepStrictEqual(
    lines().filter((line) => line.includes('"provider":"well"')),
    [],
  );
});

test("a try that timed out is booked beside its request, and one that the provider ended is not", async () => {
  const extra = { kind: "try" };
  const before = await sluice.metric("sluice_extra_attempts_total", extra);
  const requests = await sluice.metric("sluice_requests_total");
  const [late, refused] = [
    await chat(sluice, "", body("hanging-first")),
    await chat(sluice, "", body("resetting-first")),
  ];
  const records = await until("both records are there", () => {
    const rows = attemptsOf(sluice.dataDir, late.requestId);
    return rows.length === 2 ? rows : undefined;
  });
  deepStrictEqual(
    records.map(({ kind, provider, status, error, usage_source }) => [kind, provider, status, error, usage_source]),
    [
      ["try", "hanging", 0, "upstream_first_byte_timeout", "estimated"],
      ["request", "well", 200, null, "measured"],
    ],
  );
  ok((records[0]?.input_tokens ?? 0) > 0);
  await sluice.recordOf(refused.requestId);
  strictEqual(attemptsOf(sluice.dataDir, refused.requestId).length, 1);
  strictEqual((await sluice.metric("sluice_extra_attempts_total", extra)) - before, 1);
  strictEqual((await sluice.metric("sluice_requests_total")) - requests, 2);
});

test("the next provider gets the client's bytes, with its own name of the model and nothing of the one before", async () => {
  const text = `{"stream":true,"n":1.50,"model":"failing-first","messages":[],"big":12345678901234567890,"pad":"${"é".repeat(300_000)}"}`;
  strictEqual((await ask(sluice, "/chat/completions", { body: text })).status, 200);
  const seen = bodyText(await well.lastRequest());
  const option = '"stream_options":{"include_usage":true},';
  strictEqual(seen, text.replace('"failing-first"', `"${LONG_NAME}"`).replace("{", `{${option}`));
  strictEqual((await sick.journal()).requestsTotal, 1);
});

test("an error of the client's is its answer, and nobody else is asked", async () => {
  strictEqual((await chat(sluice, "", body("wrong-first"))).status, 400);
  strictEqual((await well.journal()).requestsTotal, 0);
});

test("nothing is tried again once the answer has begun", async () => {
  await streamChat(sluice, "", body("breaking-first")).catch(() => undefined);
  strictEqual((await sick.journal()).requestsTotal, 1);
  strictEqual((await well.journal()).requestsTotal, 0);
});

test("where all of them fail, the last failure is the answer", async () => {
  const answer = await chat(sluice, "", body("all-sick"));
  deepStrictEqual([answer.status, errorOf(answer)["code"]], [502, "upstream_unreachable"]);
  strictEqual((await sluice.recordOf(answer.requestId)).attempts, 2);
});

test("a target is tried again as often as its model says, within the budget of retries", async () => {
  const fallbacks = await sluice.metric("sluice_fallbacks_total");
  const retries = await sluice.metric("sluice_retries_total");
  strictEqual((await chat(sluice, "", body("again"))).status, 500);
  strictEqual((await sick.journal()).requestsTotal, 3);
  for (let i = 0; i < 4; i += 1) await chat(sluice, "", body("again"));
  // Five requests, and the four retries of the budget.
  strictEqual((await sick.journal()).requestsTotal, 9);
  strictEqual((await sluice.metric("sluice_retries_total")) - retries, 4);
  strictEqual(await sluice.metric("sluice_fallbacks_total"), fallbacks);
});

test("a client that leaves while its request waits or hangs ends all of it", async () => {
  const leaving = new AbortController();
  const asked = open(sluice, "/chat/completions", { body: body("hanging-first"), signal: leaving.signal }).catch(
    () => null,
  );
  await until("the provider has it", async () => (await sick.journal()).requestsTotal === 1 || undefined);
  leaving.abort();
  await asked;
  await sick.waitForAborts(1);
  await until("its record is there", async () => (await sluice.records(1)).at(-1)?.status === 499 || undefined);
  strictEqual((await well.journal()).requestsTotal, 0);
});
