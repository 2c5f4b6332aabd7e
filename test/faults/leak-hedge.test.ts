/**
 * Two attempts at a time, a thousand times for each way in which they can end: nothing is left of either, no permit of a limit, no place at a
 * target, and no place among the hedges of a worker, of which there are fewer than would be lost.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import type { Explanation } from "../../src/config/explanation.ts";
import { mockProvider } from "../support/config.ts";
import { errorCount, LeakCheck, type Repeat, repeatRequest, TIMES, together, workerPid } from "../support/leak.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const CLIENTS = 125;
/** As many permits, and hedges at a time: one that is kept of a request is missed soon. */
const PERMITS = 200;

/** By what each provider does. */
const PROVIDERS = {
  well: "one-piece",
  late: "delay-ms=300",
  latest: "delay-ms=700",
  sick: "status=500",
  dying: "delay-ms=300,status=500",
  silent: "stall-before-head",
};
type Place = keyof typeof PROVIDERS;

const upstream = await Upstream.start();
const two = (first: Place, second: Place) => ({
  targets: [
    { provider: first, model: "m" },
    { provider: second, model: "m" },
  ],
  hedge: { after: "1ms", percent_max: 100, in_flight_max: PERMITS },
});
const MODELS = {
  won: two("latest", "well"),
  lost: two("late", "silent"),
  adopted: two("dying", "latest"),
  refused: two("latest", "sick"),
  broken: two("dying", "dying"),
  endless: two("silent", "silent"),
};
type Model = keyof typeof MODELS;
const LIMITS = [
  { name: "requests", scope: [], concurrency: PERMITS },
  { name: "targets", scope: ["target"], concurrency: 2 * PERMITS },
  { name: "bytes", scope: ["provider"], bytes_in_flight: "1MiB" },
];

const sluice = await Sluice.start(upstream, {
  workers: 1,
  providers: Object.fromEntries(
    Object.entries(PROVIDERS).map(([name, fault]) => [
      name,
      { ...mockProvider(upstream.url), headers: { "x-mock": fault } },
    ]),
  ),
  models: MODELS,
  passthrough: "well",
  rate_limits: LIMITS,
  timeouts: { first_byte: "1500ms", drain: "5s", upstream_keep_alive: "1s" },
  ...{ breaker: "off" as never },
});
after(async () => {
  await sluice.stop();
  await upstream.stop();
});

function bytesOf(model: Model, stream = false): Buffer {
  return requestBytes({ body: JSON.stringify({ model, stream, messages: [{ role: "user", content: "Say it." }] }) });
}

/** Whole answers and streams in turn. */
async function asking(model: Model, status: number, times: number): Promise<void> {
  let asked = 0;
  await together(CLIENTS, async () => {
    const answered = async (client: RawClient) => strictEqual((await client.response())?.status, status);
    for (let left = times / CLIENTS; left > 0; left -= 1)
      await repeatRequest(sluice, bytesOf(model, asked++ % 2 === 0), answered, 1);
  });
}

async function hedges(): Promise<number> {
  return sluice.metric("sluice_hedges_total");
}

async function late(): Promise<number> {
  return errorCount(sluice, ERRORS.upstreamFirstByteTimeout);
}

/**
 * As soon as most have two attempts. Hedges are a share of the requests of ten seconds, and those that were made in a later second than their
 * requests leave none for a second, ten seconds later: then one that has waited in vain is the end of the others.
 */
async function leaving(times: number): Promise<void> {
  for (let left = times; left > 0; left -= CLIENTS) {
    const [begun, lateBefore] = [await hedges(), await late()];
    const clients = await together(CLIENTS, () => RawClient.connect(sluice.port));
    for (const [i, client] of clients.entries()) void client.send(bytesOf("endless", i % 2 === 0));
    const enough = async () => (await hedges()) - begun >= (3 * CLIENTS) / 4 || (await late()) > lateBefore;
    await until("both run", enough);
    for (const client of clients) client.leave();
    await until("they are gone", async () => (await sluice.metric("sluice_requests_in_flight")) === 0);
  }
}

/** By what is told of the next request. */
async function nothingIsHeld(model: Model): Promise<void> {
  const { text } = await sluice.command("explain", "--key", "default", "--model", model, "--json");
  const { targets, limits }: Explanation = JSON.parse(text);
  deepStrictEqual([targets.map(({ inFlight }) => inFlight), limits.length], [[0, 0], LIMITS.length]);
  for (const { name, left, limit } of limits) strictEqual(left, limit, name);
}

const KINDS: [string, Model, ErrorRow | null, Repeat][] = [
  ["the hedge answers first", "won", null, (times) => asking("won", 200, times)],
  ["the first attempt answers first", "lost", null, (times) => asking("lost", 200, times)],
  ["the first attempt fails, and the hedge answers", "adopted", null, (times) => asking("adopted", 200, times)],
  ["the hedge fails, and the first attempt answers", "refused", null, (times) => asking("refused", 200, times)],
  ["both fail", "broken", null, (times) => asking("broken", 500, times)],
  ["neither answers", "endless", ERRORS.upstreamFirstByteTimeout, (times) => asking("endless", 504, times)],
  ["the client leaves while both run", "endless", ERRORS.clientAborted, leaving],
];

for (const [, model, , repeat] of KINDS) await repeat(CLIENTS).then(() => nothingIsHeld(model));
const check = await LeakCheck.begin(sluice);

for (const [what, model, row, repeat] of KINDS) {
  test(`a thousand times: ${what}`, async () => {
    const before = await hedges();
    await check.thousandTimes(repeat, row);
    await nothingIsHeld(model);
    const begun = (await hedges()) - before;
    ok(begun > TIMES / 2, `${begun} hedges`);
  });
}

test("the same worker is still there", () => strictEqual(workerPid(sluice), check.pid));
