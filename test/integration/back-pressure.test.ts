/** Slow and stopped readers: every byte or a clean cut, with bounded memory, and the provider is told. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { download, UNHURRIED } from "../support/download.ts";
import { bigBytes, bigEvents, sha256Of } from "../support/mock/big-body.ts";
import { residentBytes } from "../support/process-tree.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { startStage } from "../support/stage.ts";
import { until } from "../support/until.ts";

const { sluice, upstream } = await startStage(() => ({ timeouts: { stall: "1s" } }));
const STREAM = '{"model":"gpt-4o-mini","stream":true,"stream_options":{"include_usage":true},"messages":[]}';
const MIB = 1_048_576;
const SLOW = { everyBytes: 262_144, restMs: 5 };
/** Growth of the worker's memory while 50 MB pass: the backlog bound, socket buffers, and the collector's slack. */
const GROWTH_BYTES_MAX = 48 * MIB;

function workerPid(): number {
  const [pid] = sluice.workerPids();
  if (pid === undefined) throw new Error("no worker");
  return pid;
}

test("a slow reader gets all 50 MB of a stream, and the worker's memory stays bounded", async () => {
  const pid = workerPid();
  await download(
    sluice,
    { method: "POST", path: "/v1/chat/completions", fault: "big-stream=5", body: STREAM },
    UNHURRIED,
  );
  const base = residentBytes(pid);
  let peak = base;
  const form = { method: "POST", path: "/v1/chat/completions", fault: "big-stream=50", body: STREAM };
  const got = await download(sluice, form, SLOW, () => {
    peak = Math.max(peak, residentBytes(pid));
  });
  deepStrictEqual([got.complete, got.sha256], [true, sha256Of(bigEvents(50))]);
  strictEqual(peak - base < GROWTH_BYTES_MAX, true, `grew by ${(peak - base) / MIB} MiB`);
});

test("ten slow readers at once get their own streams whole", async () => {
  const form = { method: "POST", path: "/v1/chat/completions", fault: "big-stream=4", body: STREAM };
  const expected = sha256Of(bigEvents(4));
  const all = await Promise.all(Array.from({ length: 10 }, () => download(sluice, form, SLOW)));
  deepStrictEqual(new Set(all.map((got) => got.sha256)), new Set([expected]));
});

for (const mib of [1, 10]) {
  for (const framing of ["", ",chunked", ",close-delimited"]) {
    test(`a slow reader gets a body of ${mib} MiB whole (${framing.slice(1) || "content-length"})`, async () => {
      const form = { method: "GET", path: "/v1/files/file-1/content", fault: `big-body=${mib}${framing}` };
      const got = await download(sluice, form, { everyBytes: 65_536, restMs: 1 });
      deepStrictEqual([got.complete, got.bytes, got.sha256], [true, mib * MIB, sha256Of(bigBytes(mib))]);
    });
  }
}

test("a fast reader gets 50 MB whole", async () => {
  const form = { method: "GET", path: "/v1/files/file-1/content", fault: "big-body=50" };
  const got = await download(sluice, form, UNHURRIED);
  deepStrictEqual([got.complete, got.sha256], [true, sha256Of(bigBytes(50))]);
});

test("a reader that stops is cut, its provider is cancelled and the record says so", async () => {
  const client = await RawClient.connect(sluice.port);
  client.socket.pause();
  const headers = { "x-mock": "big-stream=50", "x-request-id": "stopped-reader" };
  await client.send(requestBytes({ body: STREAM, headers }));
  await upstream.waitForAborts(1);
  const row = await sluice.recordOf("stopped-reader");
  deepStrictEqual([row.error, row.usage_source], ["client_stalled", "estimated"]);
  client.socket.resume();
  await client.close();
});

test("nothing is left of slow and stopped readers", async () => {
  await until("in-flight work is zero", async () => (await sluice.metric("sluice_requests_in_flight")) === 0);
});
