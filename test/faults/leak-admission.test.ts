/**
 * A thousand refusals of each bound on what the gateway takes on: bytes of bodies, the connections of a provider and the
 * queue for them. Nothing is left of those who were refused, nor of those who left the queue.
 */
import { strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import { mockProvider } from "../support/config.ts";
import { errorCount, LeakCheck, repeatRequest, together, workerPid } from "../support/leak.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const QUEUE = 250;
const BODY_BYTES = 65_536;

const upstream = await Upstream.start();
const sluice = await Sluice.start(upstream, {
  // With one provider alone, that is the passthrough.
  passthrough: undefined,
  providers: { mock: mockProvider(upstream.url), other: mockProvider(upstream.url) },
  limits: {
    body_bytes: BODY_BYTES,
    body_bytes_in_flight: BODY_BYTES,
    connections_per_provider: 1,
    queue_per_provider: QUEUE,
  },
  timeouts: { queue: "500ms", stall: "500ms", drain: "5s", upstream_keep_alive: "500ms" },
});
const holder = await RawClient.connect(sluice.port);
after(async () => {
  holder.leave();
  await sluice.stop();
  await upstream.stop();
});

/** The first of these has the provider's only connection, until the test ends. */
async function holdConnection(): Promise<void> {
  await holder.send(requestBytes({ headers: { "x-mock": "hold-head=never" } }));
  await upstream.lastRequest();
}

/** Everybody asks until `row` was answered so many times. */
async function repeatUntilCounted(clients: number, request: Buffer, row: ErrorRow, times: number): Promise<void> {
  let counted = 0;
  await together(clients, async () => {
    const client = await RawClient.connect(sluice.port);
    while (counted < times) {
      const response = await client.ask(request);
      if (response.body.includes(row.code)) counted += 1;
    }
    client.leave();
  });
}

const LARGE = requestBytes({ body: `{"pad":"${"x".repeat(60_000)}"}` });

/** Bodies that do not end take all the room, one after the other, while others ask for some. */
async function repeatOverloaded(times: number): Promise<void> {
  const others = repeatUntilCounted(20, LARGE, ERRORS.overloaded, times);
  let done = false;
  const slow = together(2, async () => {
    while (!done) await repeatRequest(sluice, LARGE.subarray(0, -1), waits, 1);
  });
  await others;
  done = true;
  await slow;
}

const ASK = requestBytes();

async function waits(client: RawClient): Promise<void> {
  await client.response();
}

/** As many as the queue takes wait in it for as long as they may. */
async function repeatQueued(times: number): Promise<void> {
  await together(QUEUE, () => repeatRequest(sluice, ASK, waits, times / QUEUE));
}

async function sendOne(): Promise<RawClient> {
  const client = await RawClient.connect(sluice.port);
  await client.send(ASK);
  return client;
}

/** They leave the queue as soon as all of them are in it. */
async function repeatLeaving(times: number): Promise<void> {
  const end = (await errorCount(sluice, ERRORS.clientAborted)) + times;
  while ((await errorCount(sluice, ERRORS.clientAborted)) < end) {
    const [waited, left] = [await queueWaits(), await queueExits()];
    const clients = await together(QUEUE, sendOne);
    await until("they wait", async () => (await queueWaits()) - waited >= QUEUE);
    for (const client of clients) client.leave();
    await until("they are gone", async () => (await queueExits()) - left >= QUEUE);
  }
}

async function queueWaits(): Promise<number> {
  return sluice.metric("sluice_upstream_queue_waits_total");
}

/** Those who left, and those who had to. */
async function queueExits(): Promise<number> {
  return (await errorCount(sluice, ERRORS.clientAborted)) + (await errorCount(sluice, ERRORS.upstreamQueueTimeout));
}

await holdConnection();
await repeatRequest(sluice, requestBytes({ body: "{}" }), waits, 1);
await until("one is in flight", async () => (await sluice.metric("sluice_requests_in_flight")) === 1);
const check = await LeakCheck.begin(sluice);

test("a thousand times: a URL that nobody serves", async () => {
  const request = requestBytes({ method: "GET", target: "/v1/files", body: "" });
  const repeat = (times: number) => together(50, () => repeatRequest(sluice, request, waits, times / 50));
  await check.thousandTimes(async (times) => void (await repeat(times)), ERRORS.noPassthrough);
});

test("a thousand times: more bytes in flight than may be", async () => {
  await check.thousandTimes(repeatOverloaded, ERRORS.overloaded);
});

test("a thousand times: a queue that is full", async () => {
  const repeat = (times: number) => repeatUntilCounted(QUEUE + 50, ASK, ERRORS.upstreamQueueFull, times);
  await check.thousandTimes(repeat, ERRORS.upstreamQueueFull);
});

test("a thousand times: a queue that does not move", async () => {
  await check.thousandTimes(repeatQueued, ERRORS.upstreamQueueTimeout);
});

test("a thousand times: a client that leaves the queue", async () => {
  await check.thousandTimes(repeatLeaving, ERRORS.clientAborted);
});

test("the provider saw one request, and it is still there", async () => {
  strictEqual((await upstream.journal()).requestsTotal, 1);
  strictEqual(workerPid(sluice), check.pid);
});
