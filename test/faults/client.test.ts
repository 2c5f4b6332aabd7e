/** Clients that leave or stop reading, and answers that a shutdown ends. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { expectErrorObject, lastEvent } from "../support/expect-error.ts";
import { faultyConfig } from "../support/faulty-config.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes, STREAM_BODY } from "../support/raw-request.ts";
import { Sluice } from "../support/sluice.ts";
import { Upstream } from "../support/upstream.ts";
import { recordsOf } from "../support/usage-db.ts";

const upstream = await Upstream.start();
after(() => upstream.stop());
const LONG = { first_byte: "60s", idle: "60s", total: "60s" };

async function start(timeouts: Record<string, string>): Promise<Sluice> {
  await upstream.reset();
  return Sluice.start(upstream, { ...faultyConfig(upstream), timeouts });
}

async function send(sluice: Sluice, fault: string, id: string, pause: boolean): Promise<RawClient> {
  const client = await RawClient.connect(sluice.port);
  if (pause) client.socket.pause();
  await client.send(requestBytes({ body: STREAM_BODY, headers: { "x-mock": fault, "x-request-id": id } }));
  return client;
}

test("a client that leaves: before the head, in the middle, and while its body is on the way", async () => {
  const sluice = await start(LONG);
  const early = await send(sluice, "stall-before-head", "early", false);
  await upstream.waitFor("it is received", ({ requests }) => requests[0]?.state === "received");
  early.leave();
  const middle = await send(sluice, "stall-mid-stream", "middle", false);
  await middle.sees(" brown");
  middle.leave();
  await upstream.waitForAborts(2);
  for (const id of ["early", "middle"]) strictEqual((await sluice.recordOf(id)).error, ERRORS.clientAborted.code);
  await leaveInBody(sluice);
  await sluice.stop();
});

async function leaveInBody(sluice: Sluice): Promise<void> {
  const client = await RawClient.connect(sluice.port);
  await client.send(requestBytes({ headers: { "x-request-id": "in-body" } }).subarray(0, -5));
  client.leave();
  const record = await sluice.recordOf("in-body");
  deepStrictEqual([record.error, record.usage_source, record.attempts], [ERRORS.clientAborted.code, "none", 0]);
}

test("a client that stops reading", async () => {
  const sluice = await start({ ...LONG, stall: "500ms" });
  const client = await send(sluice, "big-stream=40", "stalled", true);
  await upstream.waitForAborts(1);
  const record = await sluice.recordOf("stalled");
  deepStrictEqual([record.error, record.status], [ERRORS.clientStalled.code, 200]);
  client.leave();
  await sluice.stop();
});

test("a shutdown whose deadline passes ends the stream with an error event and exit code 0", async () => {
  const sluice = await start({ ...LONG, drain: "500ms" });
  const client = await send(sluice, "stall-mid-stream", "drained", false);
  await client.sees(" brown");
  sluice.signal("SIGTERM");
  const response = await client.response();
  expectErrorObject(lastEvent(response?.body.toString() ?? ""), ERRORS.drainDeadline);
  strictEqual(await sluice.end(), 0, sluice.log);
  strictEqual(recordsOf(sluice.dataDir, "drained")[0]?.error, ERRORS.drainDeadline.code);
  await sluice.remove();
});
