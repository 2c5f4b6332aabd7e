/**
 * A thousand shadow copies of each kind that fails, at a provider of their own: clients have their answers, and nothing of the copies is left in
 * the worker.
 */
import { strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { type ConfigForm, mockProvider, standardConfig } from "../support/config.ts";
import { LeakCheck, together, workerPid } from "../support/leak.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const CLIENTS = 8;
const PAD = "x".repeat(50_000);

/** By what the shadow provider does. */
const FAULTS: Readonly<Record<string, string>> = {
  "a status 500": "status=500",
  "a refused credential": "status-401-leaking",
  "a reset before the head": "reset-before-head",
  garbage: "garbage",
  "a cut answer": "cut-mid-stream",
  "a stall before the head": "stall-before-head",
  "a stalled answer": "stall-mid-stream",
};

const [well, sick] = await Promise.all([Upstream.start(), Upstream.start()]);

function formOf(): ConfigForm {
  const names = Object.keys(FAULTS);
  const sickAs = (fault: string) => ({ ...mockProvider(sick.url), headers: { "x-mock": fault } });
  const dead = mockProvider("http://127.0.0.1:9/v1");
  const copied = (provider: string) => ({
    provider: "well",
    model: "m",
    shadow: { provider, model: "n", percent: "100" },
  });
  return {
    ...standardConfig(well),
    workers: 1,
    timeouts: { drain: "5s", first_byte: "500ms", idle: "500ms", upstream_keep_alive: "1s" },
    providers: {
      well: mockProvider(well.url),
      dead,
      slow: { ...mockProvider(well.url), headers: { "x-mock": "stall-mid-stream" } },
      ...Object.fromEntries(names.map((name, i) => [`sick${i}`, sickAs(FAULTS[name] ?? "")])),
    },
    models: {
      dead: copied("dead"),
      left: { ...copied("sick0"), provider: "slow" },
      ...Object.fromEntries(names.map((_, i) => [`sick${i}`, copied(`sick${i}`)])),
    },
    passthrough: "well",
  };
}

const sluice = await Sluice.start(well, formOf());
after(async () => {
  await sluice.stop();
  await well.stop();
  await sick.stop();
});

async function repeat(model: string, times: number): Promise<void> {
  const request = requestBytes({ body: JSON.stringify({ model, messages: [{ role: "user", content: PAD }] }) });
  const client = async () => {
    const connection = await RawClient.connect(sluice.port);
    for (let i = 0; i < times / CLIENTS; i += 1) strictEqual((await connection.ask(request)).status, 200);
    connection.leave();
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}

async function noCopyIsLeft(): Promise<void> {
  await until("no copy is left, and no byte of one", async () => {
    const left = await Promise.all(
      ["in_flight", "bytes_in_flight"].map((what) => sluice.metric(`sluice_shadow_${what}`)),
    );
    return left.every((count) => count === 0) || undefined;
  });
}

const MODELS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(Object.keys(FAULTS).map((name, i) => [name, `sick${i}`])),
  "a dead provider": "dead",
};

for (const model of Object.values(MODELS)) await repeat(model, 100);
await noCopyIsLeft();
const check = await LeakCheck.begin(sluice);

for (const [name, model] of Object.entries(MODELS)) {
  test(`a thousand times, for the copy: ${name}`, async () => {
    const before = await sluice.metric("sluice_shadow_failures_total");
    await check.thousandTimes((times) => repeat(model, times), null);
    await noCopyIsLeft();
    const failures = (await sluice.metric("sluice_shadow_failures_total")) - before;
    strictEqual(failures > 0, true, "no copy failed");
  });
}

/** Half of them before anybody can have seen their requests, half when the first of the answer is there. */
async function leave(times: number): Promise<void> {
  const request = requestBytes({
    body: JSON.stringify({ model: "left", stream: true, messages: [{ role: "user", content: PAD }] }),
  });
  await together(CLIENTS, async () => {
    for (let i = 0; i < times / CLIENTS; i += 1) {
      const client = await RawClient.connect(sluice.port);
      await client.send(request);
      if (i % 2 === 0) await client.sees("HTTP/1.1 200");
      client.leave();
    }
  });
}

test("a thousand times: a client that leaves, whose copy goes on", async () => {
  const sent = () => sluice.metric("sluice_shadow_requests_total");
  const before = await sent();
  await check.thousandTimes(leave, null);
  await noCopyIsLeft();
  strictEqual((await sent()) > before, true, "no copy was sent");
});

test("the same worker is still there, and no client's request failed", async () => {
  strictEqual(workerPid(sluice), check.pid);
  strictEqual(await sluice.metric("sluice_requests_total", { status_class: "5xx" }), 0);
});
