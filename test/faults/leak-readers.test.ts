/** A thousand readers that stop in the middle of a stream: each is cut, its provider is told, and nothing is left of it. */
import { after, test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { errorCount, heldBy, LeakCheck, TIMES, together } from "../support/leak.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes, STREAM_BODY } from "../support/raw-request.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const CLIENTS = 125;
/** More than the sockets of both connections hold. */
const REQUEST = requestBytes({ body: STREAM_BODY, headers: { "x-mock": "endless-stream" } });

const upstream = await Upstream.start();
const sluice = await Sluice.start(upstream, {
  timeouts: { stall: "300ms", drain: "5s", upstream_keep_alive: "500ms" },
});
after(async () => {
  await sluice.stop();
  await upstream.stop();
});

/** Asks for more than it will ever read. */
async function stopReading(): Promise<RawClient> {
  const client = await RawClient.connect(sluice.port);
  client.socket.pause();
  await client.send(REQUEST);
  return client;
}

/** So many at a time, until each is cut. */
async function repeat(times: number): Promise<void> {
  const end = (await errorCount(sluice, ERRORS.clientStalled)) + times;
  for (let left = times; left > 0; left -= CLIENTS) {
    const clients = await together(CLIENTS, stopReading);
    await until("they are cut", async () => (await errorCount(sluice, ERRORS.clientStalled)) >= end - left + CLIENTS);
    for (const client of clients) client.leave();
  }
}

test("a thousand times: a reader that stops", async () => {
  await repeat(CLIENTS);
  await until("nothing is left over", async () => (await heldBy(sluice)) === 0);
  const check = await LeakCheck.begin(sluice);
  await upstream.reset();
  await check.thousandTimes(repeat, ERRORS.clientStalled);
  await upstream.waitForAborts(TIMES);
});
