/** SIGTERM: not ready, no new connections, what runs is finished up to the deadline, exit code 0. */
import { match, strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import type { ConfigForm } from "../support/config.ts";
import { open } from "../support/http-client.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes, STREAM_BODY } from "../support/raw-request.ts";
import { headerOf } from "../support/raw-response.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";
import { readRecords } from "../support/usage-db.ts";

const upstream = await Upstream.start();
after(() => upstream.stop());

/** Starts a Sluice that the test itself ends. */
async function start(changes: Partial<ConfigForm> = {}): Promise<Sluice> {
  return Sluice.start(upstream, { workers: 2, ...changes });
}

function holdStream(sluice: Sluice, gate: string): Promise<Response> {
  return open(sluice, "/chat/completions", { body: STREAM_BODY, headers: { "x-mock": `hold=${gate}` } });
}

async function refusesConnections(sluice: Sluice): Promise<boolean> {
  return RawClient.connect(sluice.port).then(
    (client) => {
      client.leave();
      return false;
    },
    () => true,
  );
}

test("a stream in flight is finished, readiness is gone, new connections are refused, the exit code is 0", async () => {
  const sluice = await start();
  const stream = await holdStream(sluice, "drain");
  sluice.signal("SIGTERM");
  await until("readiness is gone", async () => (await sluice.healthStatus("ready")) === 503);
  strictEqual(await sluice.healthStatus("live"), 200);
  await until("new connections are refused", () => refusesConnections(sluice));
  await upstream.open("drain");
  match(await stream.text(), /data: \[DONE\]\n\n$/);
  strictEqual(await sluice.end(), 0, sluice.log);
  strictEqual(readRecords(sluice.dataDir).length, 1);
  await sluice.remove();
});

test("an answer during the drain says Connection: close, and its connection is closed", async () => {
  const sluice = await start();
  const client = await RawClient.connect(sluice.port);
  strictEqual((await client.ask(requestBytes())).status, 200);
  const stream = await holdStream(sluice, "drain-close");
  sluice.signal("SIGTERM");
  await until("readiness is gone", async () => (await sluice.healthStatus("ready")) === 503);
  await until("new connections are refused", () => refusesConnections(sluice));
  await client.send(requestBytes());
  const response = await client.response();
  if (response !== null) match(headerOf(response, "connection"), /\bclose\b/);
  await client.close();
  await upstream.open("drain-close");
  await stream.text();
  strictEqual(await sluice.end(), 0, sluice.log);
  await sluice.remove();
});

test("idle keep-alive connections do not hold up the exit", async () => {
  const sluice = await start({ timeouts: { drain: "60s" } });
  const client = await RawClient.connect(sluice.port);
  await client.ask(requestBytes());
  sluice.signal("SIGTERM");
  strictEqual(await sluice.end(), 0, sluice.log);
  await client.close();
  await sluice.remove();
});

test("every record is stored when the program has ended", async () => {
  const sluice = await start();
  const answers = await Promise.all(Array.from({ length: 60 }, () => holdStream(sluice, "drain-all")));
  await upstream.open("drain-all");
  await Promise.all(answers.map((answer) => answer.text()));
  sluice.signal("SIGTERM");
  strictEqual(await sluice.end(), 0, sluice.log);
  strictEqual(readRecords(sluice.dataDir).length, 60);
  await sluice.remove();
});

test("SIGINT drains too", async () => {
  const sluice = await start();
  sluice.signal("SIGINT");
  strictEqual(await sluice.end(), 0, sluice.log);
  await sluice.remove();
});
