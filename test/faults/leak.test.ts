/**
 * Each kind of failure a thousand times, over keep-alive sockets: afterwards nothing is in flight, reserved or connected
 * that was not before, and neither memory nor file descriptors have grown without bound.
 */
import { strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { faultyConfig } from "../support/faulty-config.ts";
import { openFiles, residentBytes } from "../support/process-tree.ts";
import { RawClient } from "../support/raw-client.ts";
import { chunkedRequest, requestBytes, STREAM_BODY } from "../support/raw-request.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const TIMES = 1_000;
const CONCURRENCY = 50;
const MIB = 1_048_576;
/**
 * What the second five hundred failures of one kind may add to what the first left to the collector and the allocator. A
 * leaked body of 100 KB each would be 50 MB.
 */
const GROWTH_BYTES_MAX = 32 * MIB;
const DESCRIPTORS_SLACK = 8;

const TIMEOUTS = { connect: "200ms", first_byte: "200ms", idle: "200ms", total: "600ms", queue: "200ms" };
const upstream = await Upstream.start();
const sluice = await Sluice.start(upstream, {
  ...faultyConfig(upstream),
  limits: { body_bytes: "256KiB" },
  timeouts: { ...TIMEOUTS, stall: "300ms", drain: "5s", upstream_keep_alive: "500ms" },
});
after(async () => {
  await sluice.stop();
  await upstream.stop();
});

/** How a client behaves once its request is on the way. */
type Manner = (client: RawClient) => Promise<void>;

const waits: Manner = async (client) => {
  await client.response();
};

/** Leaves when the first bytes of the answer are there. */
const leavesInMiddle: Manner = async (client) => {
  await client.sees("data: ");
  client.leave();
};

const leavesAtOnce: Manner = async (client) => client.leave();

interface Kind {
  readonly request: Buffer;
  readonly manner: Manner;
}

function kind(form: Parameters<typeof requestBytes>[0], manner: Manner = waits): Kind {
  return { request: requestBytes(form), manner };
}

function fault(name: string, body?: string): Kind {
  return kind({ headers: { "x-mock": name }, ...(body === undefined ? {} : { body }) });
}

const PAD = "x".repeat(100_000);

const KINDS: Readonly<Record<string, Kind>> = {
  "an ambiguous framing": kind({ headers: { "Content-Length": "5" } }),
  "headers too large": kind({ headers: { "x-large": "h".repeat(17_000) } }),
  "a target too long": kind({ target: `/v1/${"x".repeat(9_000)}` }),
  "an invalid header": kind({ headers: { "x-custom": "a\xffb" } }),
  "an unknown path": kind({ target: "/v2/chat" }),
  "a wrong method": kind({ method: "PUT" }),
  "no key": kind({ headers: { authorization: "" } }),
  "a wrong key": kind({ headers: { authorization: "Bearer sk-wrong" } }),
  "a disabled key": kind({ headers: { authorization: "Bearer sk-off" } }),
  "an expired key": kind({ headers: { authorization: "Bearer sk-old" } }),
  "a forbidden model": kind({ headers: { authorization: "Bearer sk-narrow" } }),
  "a declared length over the limit": kind({ headers: { "content-length": "2000000" } }),
  "a chunked body over the limit": { request: chunkedRequest(Buffer.alloc(300_000, 0x20), 32_768), manner: waits },
  "an empty body": kind({ body: "" }),
  "malformed JSON": kind({ body: `{"model":"gpt-4o","pad":"${PAD}"` }),
  "invalid UTF-8": kind({ body: Buffer.from('{"model":"\xff"}', "latin1") }),
  "nesting too deep": kind({ body: `{"d":${"[".repeat(10_000)}` }),
  "JSON that is no object": kind({ body: "[]" }),
  "a wrong type": kind({ body: '{"model":5}' }),
  "a form that cannot be read": kind({
    target: "/v1/audio/transcriptions",
    headers: { "content-type": "multipart/form-data; boundary=x" },
    body: "--y",
  }),
  "no model": kind({ body: "{}" }),
  "a duplicate model": kind({ body: '{"model":"a","model":"b"}' }),
  "an unknown model": kind({ body: '{"model":"gpt-nine"}' }),
  "a body that stops": { request: requestBytes({ body: PAD }).subarray(0, -10), manner: waits },
  "a body whose client leaves": { request: requestBytes({ body: PAD }).subarray(0, -10), manner: leavesAtOnce },
  "a dead provider": kind({ body: '{"model":"dead"}' }),
  "an untrusted provider": kind({ body: '{"model":"untrusted"}' }),
  "a silent provider": kind({ body: '{"model":"silent"}' }),
  garbage: fault("garbage"),
  "a reset before the head": fault("reset-before-head"),
  "a stall before the head": fault("stall-before-head"),
  "a refused credential": fault("status-401-leaking"),
  "a provider's 500": fault("status=500"),
  "a stale connection": fault("stale"),
  "a cut answer": fault("cut-mid-stream"),
  "a cut stream": fault("cut-mid-stream", STREAM_BODY),
  "an early end": fault("early-end", STREAM_BODY),
  "a cut close-delimited stream": fault("close-delimited-cut", STREAM_BODY),
  "a stalled stream": fault("stall-mid-stream", STREAM_BODY),
  "a client that leaves a stream": kind(
    { body: STREAM_BODY, headers: { "x-mock": "stall-mid-stream" } },
    leavesInMiddle,
  ),
  "a client that leaves at once": kind({ headers: { "x-mock": "stall-before-head" } }, leavesAtOnce),
};

/** One client after the other on one connection while it lasts. */
async function repeat(kind: Kind, times: number): Promise<void> {
  let client: RawClient | null = null;
  for (let i = 0; i < times; i += 1) {
    if (client === null || client.ended || client.socket.destroyed) client = await RawClient.connect(sluice.port);
    await client.send(kind.request);
    await kind.manner(client);
  }
  client?.leave();
}

/** Half of the times, by all clients together. */
async function repeatByAll(kind: Kind): Promise<void> {
  await Promise.all(Array.from({ length: CONCURRENCY }, () => repeat(kind, TIMES / 2 / CONCURRENCY)));
}

function workerPid(): number {
  const [pid] = sluice.workerPids();
  if (pid === undefined) throw new Error("no worker");
  return pid;
}

/** Requests in flight, bytes reserved, scanners taken and upstream connections open; the keep-alive empties the last. */
async function leftOver(): Promise<number> {
  const names = ["requests_in_flight", "request_body_bytes_in_flight", "scanner_slots", "upstream_connections"];
  const values = await Promise.all(names.map((name) => sluice.metric(`sluice_${name}`)));
  return values.reduce((sum, value) => sum + value, 0);
}

async function waitUntilEmpty(): Promise<void> {
  await until("nothing is left over", async () => (await leftOver()) === 0);
}

/** Everything once, so that what is made lazily is there before anything is measured. */
async function warmUp(): Promise<void> {
  for (const kind of Object.values(KINDS)) await repeat(kind, 1);
  await Promise.all(Array.from({ length: CONCURRENCY }, () => repeat(fault("status=500"), 20)));
  await waitUntilEmpty();
}

await warmUp();
const pid = workerPid();
const filesBefore = openFiles(pid);

for (const [what, kind] of Object.entries(KINDS)) {
  test(`a thousand times: ${what}`, async () => {
    await repeatByAll(kind);
    const memoryBefore = residentBytes(pid);
    await repeatByAll(kind);
    await waitUntilEmpty();
    await until("file descriptors are given back", () => openFiles(pid) <= filesBefore + DESCRIPTORS_SLACK);
    const growth = residentBytes(pid) - memoryBefore;
    strictEqual(growth < GROWTH_BYTES_MAX, true, `grew by ${Math.round(growth / MIB)} MiB`);
  });
}

test("the same worker is still there, and serves", async () => {
  strictEqual(workerPid(), pid);
  const client = await RawClient.connect(sluice.port);
  strictEqual((await client.ask(requestBytes())).status, 200);
  client.leave();
});
