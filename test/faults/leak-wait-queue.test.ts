/**
 * Requests that wait for a limit, a thousand times: their clients leave, their time is over, or there is room for them. Nothing of them is left, and no
 * permit is with them.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import type { Explanation } from "../../src/config/explanation.ts";
import { standardConfig } from "../support/config.ts";
import { chat, open } from "../support/http-client.ts";
import { heldBy, LeakCheck, repeatRequest, TIMES, together } from "../support/leak.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const CLIENTS = 125;
const BODY = `{"model":"gpt-4o","messages":[{"role":"user","content":"${"x".repeat(20_000)}"}]}`;

const upstream = await Upstream.start();
const sluice = await Sluice.start(upstream, {
  ...standardConfig(upstream),
  workers: 1,
  rate_limits: [{ scope: ["key"], concurrency: 1 }],
  rate_limit_queue: { max_wait: "60s" },
  timeouts: { drain: "5s", upstream_keep_alive: "1s" },
});
after(async () => {
  await sluice.stop();
  await upstream.stop();
});

async function waiting(count: number): Promise<void> {
  await until(`${count} wait`, async () => (await sluice.metric("sluice_limit_queue_requests")) === count);
}

async function comeAndGo(times: number): Promise<void> {
  for (let left = times; left > 0; left -= CLIENTS) {
    const clients = await Promise.all(Array.from({ length: CLIENTS }, () => RawClient.connect(sluice.port)));
    for (const client of clients) client.send(requestBytes({ body: BODY }));
    await waiting(CLIENTS);
    for (const client of clients) client.leave();
    await waiting(0);
  }
}

/** So many in line behind the one that has the permit, which stays there. */
async function waitInVain(times: number): Promise<void> {
  const request = requestBytes({ body: BODY, headers: { "x-sluice-queue-ms": "150" } });
  await ask(request, 429, times);
}

async function ask(request: Buffer, status: number, times: number): Promise<void> {
  const answered = async (client: RawClient) => strictEqual((await client.response())?.status, status);
  await together(CLIENTS, () => repeatRequest(sluice, request, answered, times / CLIENTS));
}

test("a thousand times each: a client that leaves while it waits for a limit, and one that has waited in vain", async () => {
  const body = { model: "gpt-4o", messages: [] };
  const first = await open(sluice, "/chat/completions", { body, headers: { "x-mock": "hold=first" } });
  // Gauges are told by the sweep.
  const isSeen = async () =>
    (await sluice.metric("sluice_scanner_slots")) === 1 && (await sluice.metric("sluice_upstream_connections")) === 1;
  await until("the first one is seen", isSeen);
  const check = await LeakCheck.begin(sluice);
  await check.thousandTimes(comeAndGo, ERRORS.clientAborted);
  await check.thousandTimes(waitInVain, ERRORS.limitReached);
  strictEqual((await upstream.journal()).requestsTotal, 1);
  await upstream.open("first");
  await first.text();
  strictEqual((await chat(sluice)).status, 200);
});

test("a thousand times: a request that waits until there is room", async () => {
  const admitted = () => sluice.metric("sluice_limit_queue_admitted_total");
  const request = requestBytes({ body: BODY });
  await ask(request, 200, CLIENTS);
  await until("nothing is in flight", async () => (await heldBy(sluice)) === 0);
  const [check, before] = [await LeakCheck.begin(sluice), await admitted()];
  await check.thousandTimes((times) => ask(request, 200, times), null);
  ok((await admitted()) - before > TIMES / 2, "most of them waited");
  await waiting(0);
  const { text } = await sluice.command("explain", "--key", "default", "--model", "gpt-4o", "--json");
  const { limits, queue }: Explanation = JSON.parse(text);
  deepStrictEqual([limits[0]?.left, queue?.limit, queue?.requests, queue?.bytes], [1, null, 0, 0]);
});
