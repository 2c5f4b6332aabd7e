/** Clients that leave while they wait for a limit, a thousand times: nothing of them is left, and no permit is with them. */
import { strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { standardConfig } from "../support/config.ts";
import { chat, open } from "../support/http-client.ts";
import { LeakCheck } from "../support/leak.ts";
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

test("a thousand times: a client that leaves while it waits for a limit", async () => {
  const body = { model: "gpt-4o", messages: [] };
  const first = await open(sluice, "/chat/completions", { body, headers: { "x-mock": "hold=first" } });
  // Gauges are told by the sweep.
  const isSeen = async () =>
    (await sluice.metric("sluice_scanner_slots")) === 1 && (await sluice.metric("sluice_upstream_connections")) === 1;
  await until("the first one is seen", isSeen);
  const check = await LeakCheck.begin(sluice);
  await check.thousandTimes(comeAndGo, ERRORS.clientAborted);
  strictEqual((await upstream.journal()).requestsTotal, 1);
  await upstream.open("first");
  await first.text();
  strictEqual((await chat(sluice)).status, 200);
});
