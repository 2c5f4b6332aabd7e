/** Strategies with the real program and two workers: by latency, by what providers leave of their limits, and by a header. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import { mockProvider, standardConfig } from "../support/config.ts";
import { ask, chat, streamChat } from "../support/http-client.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { Sluice } from "../support/sluice.ts";
import { Upstream } from "../support/upstream.ts";

const LIMIT = 7;
const [one, two] = [await Upstream.start(), await Upstream.start()];
const faulty = (fault: string) => ({ ...mockProvider(one.url), headers: { "x-mock": fault } });
const both = (provider: string, model = "m") => [
  { provider, model },
  { provider: "two", model },
];
const sluice = await Sluice.start(one, {
  ...standardConfig(one),
  workers: 2,
  providers: {
    two: mockProvider(two.url),
    one: mockProvider(one.url),
    slow: faulty("delay-ms=400"),
    limited: faulty(`rate-limit=a:${LIMIT}`),
  },
  models: {
    quick: { strategy: "latency", targets: both("slow") },
    roomy: {
      strategy: "headroom",
      targets: [
        { provider: "limited", model: "m" },
        { provider: "two", model: "m", priority: 1 },
      ],
    },
    turns: { strategy: "round_robin", targets: both("one", "t") },
    sticky: { strategy: "hash", hash_by: { header: "X-Session" }, targets: both("one", "s") },
  },
  passthrough: "one",
});
after(async () => {
  await sluice.stop();
  await one.stop();
  await two.stop();
});
beforeEach(async () => {
  await one.reset();
  await two.reset();
});

function body(model: string): object {
  return { model, messages: [{ role: "user", content: "Say it." }] };
}

async function totals(): Promise<[number, number]> {
  return [(await one.journal()).requestsTotal, (await two.journal()).requestsTotal];
}

/** One after the other. */
async function several(count: number, model: string): Promise<number[]> {
  const statuses: number[] = [];
  for (let i = 0; i < count; i += 1) statuses.push((await chat(sluice, "", body(model))).status);
  return statuses;
}

test("latency: a slow target is found out by a request or two, also over a reload and a restart", async () => {
  deepStrictEqual(new Set(await several(30, "quick")), new Set([200]));
  const [slow, fast] = await totals();
  ok(slow >= 1 && slow <= 3 && slow + fast === 30, `${slow} of 30 to the slow one`);
  strictEqual((await sluice.command("reload")).code, 0);
  strictEqual((await sluice.command("restart")).code, 0);
  await several(20, "quick");
  const [later] = await totals();
  ok(later <= slow + 1, `${later - slow} of 20 to the slow one after a restart`);
});

test("latency: streams are measured by their first event", async () => {
  for (let i = 0; i < 12; i += 1) strictEqual((await streamChat(sluice, "", body("quick"))).status, 200);
  const [slow, fast] = await totals();
  ok(slow >= 1 && slow <= 3 && slow + fast === 12, `${slow} of 12 to the slow one`);
});

test("headroom: a provider gets what it says that it takes and no more, and the next one the rest", async () => {
  deepStrictEqual(new Set(await several(LIMIT + 9, "roomy")), new Set([200]));
  deepStrictEqual(await totals(), [LIMIT, 9]);
});

test("round robin: one after the other, whichever worker has the request, also over a restart", async () => {
  const onNewConnection = async () => {
    const client = await RawClient.connect(sluice.port);
    strictEqual((await client.ask(requestBytes({ body: JSON.stringify(body("turns")) }))).status, 200);
    client.leave();
    return (await totals())[0];
  };
  const places: number[] = [];
  for (let i = 0; i < 8; i += 1) places.push(await onNewConnection());
  strictEqual((await sluice.command("restart")).code, 0);
  for (let i = 0; i < 8; i += 1) places.push(await onNewConnection());
  const first = places[0] ?? 0;
  deepStrictEqual(
    places,
    places.map((_, i) => Math.floor((i + 1 + first) / 2)),
  );
});

test("hash: a session stays where it is, whichever worker has it, and sessions are spread", async () => {
  const placeOf = async (session: number) => {
    const headers = { "x-session": `session-${session}` };
    const { requestId } = await ask(sluice, "/chat/completions", { body: body("sticky"), headers });
    return (await sluice.recordOf(requestId)).provider;
  };
  const sessions = Array.from({ length: 12 }, (_, session) => session);
  const first = await Promise.all(sessions.map(placeOf));
  deepStrictEqual(await Promise.all(sessions.toReversed().map(placeOf)), first.toReversed());
  deepStrictEqual(new Set(first), new Set(["one", "two"]));
});
