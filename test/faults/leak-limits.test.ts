/**
 * What limits, budgets and breakers refuse: the answer of each, and that a thousand of them leave nothing behind. The counts are filled from
 * outside where a client could not fill them in a test's time.
 */
import { ok } from "node:assert/strict";
import { after, test } from "node:test";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import { attachLimits, LIMIT_AT } from "../../src/shm/limits.ts";
import { mockProvider, standardConfig } from "../support/config.ts";
import { answerOf, expectError } from "../support/expect-error.ts";
import { LeakCheck, repeatRequest, together } from "../support/leak.ts";
import { decide, ruleOf } from "../support/limits.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { Sluice } from "../support/sluice.ts";
import { Upstream } from "../support/upstream.ts";

const CLIENTS = 50;
const DAY_MS = 86_400_000;
/** More than there are places, because some sets of places fill before others. */
const FILLING = 400_000;
const LEASE_MS = 60_000;

const upstream = await Upstream.start();
const { models } = standardConfig(upstream);
const dead = mockProvider("http://127.0.0.1:1/v1");
const sluice = await Sluice.start(upstream, {
  providers: { mock: mockProvider(upstream.url), dead, gone: dead },
  models: {
    ...models,
    seldom: { provider: "mock" },
    little: { provider: "mock" },
    spent: { provider: "mock" },
    personal: { provider: "mock" },
    endless: { provider: "mock" },
    "both-dead": { targets: [{ provider: "dead" }, { provider: "gone" }] },
  },
  breaker: { cooldown: "600s", cooldown_max: "600s" },
  rate_limits: [
    { name: "seldom", scope: [], models: ["seldom"], requests: "1/day" },
    { name: "little", scope: [], models: ["little"], tokens: "10/day" },
    // All of it is there again at once, and never enough.
    { name: "endless", scope: [], models: ["endless"], output_tokens: "1_000_000_000/s", burst: 1_000 },
    { name: "personal", scope: ["user"], models: ["personal"], requests: "1/day" },
  ],
  budgets: [{ name: "spent", scope: [], models: ["spent"], tokens: 1, per: "total" }],
});
after(async () => {
  await sluice.stop();
  await upstream.stop();
});

function requestOf(model: string): Buffer {
  return requestBytes({ body: `{"model":"${model}","max_tokens":100,"user":"nobody","messages":[]}` });
}

/** Every place for a count is one of a user of ours, until tomorrow. */
function fillCounts(): void {
  const map = attachLimits(sluice.dataDir, 255);
  map.configure([ruleOf({ name: "filling", scope: ["user"], limit: 1, periodMs: DAY_MS })], LEASE_MS);
  for (let user = 0; user < FILLING; user += 1) {
    map.fields.fill(-1);
    map.text("user", `filling-${user}`);
    map.fields[LIMIT_AT.amounts.requests] = 1;
    decide(map);
  }
}

test("a thousand times: a stream that its limit does not let go on", async () => {
  const body = `{"model":"endless","max_tokens":10,"stream":true,"messages":[]}`;
  const request = requestBytes({ body, headers: { "x-mock": "endless-stream" } });
  const client = await RawClient.connect(sluice.port);
  const { text } = answerOf(await client.ask(request));
  ok(text.includes('"finish_reason":"length"') && text.endsWith("data: [DONE]\n\n"));
  client.leave();
  const check = await LeakCheck.begin(sluice);
  const repeat = (times: number) =>
    together(CLIENTS, () =>
      repeatRequest(sluice, request, async (one) => void (await one.response()), times / CLIENTS),
    );
  await check.thousandTimes(async (times) => void (await repeat(times)), ERRORS.cutByLimit);
});

const ROWS: [string, string, ErrorRow, () => unknown][] = [
  ["a limit that is reached", "seldom", ERRORS.limitReached, () => undefined],
  ["a request that is larger than its limit", "little", ERRORS.limitTooSmall, () => undefined],
  ["a budget that is used up", "spent", ERRORS.budgetUsedUp, () => undefined],
  ["a model whose targets are all left alone", "both-dead", ERRORS.noTarget, () => undefined],
  ["a count for which there is no place", "personal", ERRORS.limitsUnavailable, fillCounts],
];

/** Until it is what it is going to be: a limit has to be reached first, a breaker to open. */
async function firstRefusal(client: RawClient, request: Buffer, row: ErrorRow): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    const answer = answerOf(await client.ask(request));
    if (!answer.text.includes(row.code)) continue;
    expectError(answer, row);
    return;
  }
  ok(false, `${row.code} never came`);
}

for (const [what, model, row, prepare] of ROWS) {
  test(`a thousand times: ${what}`, async () => {
    prepare();
    const client = await RawClient.connect(sluice.port);
    await firstRefusal(client, requestOf(model), row);
    client.leave();
    const check = await LeakCheck.begin(sluice);
    const repeat = (times: number) =>
      together(CLIENTS, () =>
        repeatRequest(sluice, requestOf(model), async (one) => void (await one.response()), times / CLIENTS),
      );
    await check.thousandTimes(async (times) => void (await repeat(times)), row);
  });
}
