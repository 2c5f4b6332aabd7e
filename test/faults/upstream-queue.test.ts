/** One upstream connection and one place in its queue: what waits too long or finds no place is told so. */
import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { expectError } from "../support/expect-error.ts";
import { chat } from "../support/http-client.ts";
import { startStage } from "../support/stage.ts";
import { until } from "../support/until.ts";

const { sluice, upstream } = await startStage(() => ({
  limits: { connections_per_provider: 1, queue_per_provider: 1 },
  timeouts: { queue: "500ms" },
}));

async function inFlight(count: number): Promise<void> {
  await until(`${count} are in flight`, async () => (await sluice.metric("sluice_requests_in_flight")) === count);
}

test("the second waits until its time is over, the third finds no place, the first is answered", async () => {
  const first = chat(sluice, "hold-head=queue");
  await upstream.lastRequest();
  const second = chat(sluice);
  await inFlight(2);
  const third = await chat(sluice);
  expectError(third, ERRORS.upstreamQueueFull);
  const late = await second;
  expectError(late, ERRORS.upstreamQueueTimeout);
  await upstream.open("queue");
  strictEqual((await first).status, 200);
  strictEqual((await sluice.recordOf(late.requestId)).error, ERRORS.upstreamQueueTimeout.code);
  strictEqual((await sluice.recordOf(third.requestId)).error, ERRORS.upstreamQueueFull.code);
});

test("one that waits gets the connection when it is free", async () => {
  const first = chat(sluice, "hold-head=queue-turn");
  await upstream.lastRequest();
  const second = chat(sluice);
  await inFlight(2);
  await upstream.open("queue-turn");
  strictEqual((await first).status, 200);
  strictEqual((await second).status, 200);
  strictEqual((await upstream.journal()).connectionsTotal <= 1, true);
});
