/**
 * Each kind of failure a thousand times, over keep-alive sockets: afterwards nothing is in flight, reserved or connected
 * that was not before, and neither memory nor file descriptors have grown without bound. leak-admission.test.ts and
 * leak-readers.test.ts have those that need another configuration.
 */
import { strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import { faultyConfig } from "../support/faulty-config.ts";
import { heldBy, LeakCheck, repeatRequest, together, workerPid } from "../support/leak.ts";
import { RawClient } from "../support/raw-client.ts";
import { chunkedRequest, requestBytes, STREAM_BODY } from "../support/raw-request.ts";
import { Sluice } from "../support/sluice.ts";
import { until } from "../support/until.ts";
import { Upstream } from "../support/upstream.ts";

const CLIENTS = 50;
/** Where each failure has to wait for a deadline. */
const CLIENTS_THAT_WAIT = 500;
/** Where it holds a body as well: 12 MB at a time, which is no leak. */
const CLIENTS_WITH_BODIES = 125;

/** Short, but not so short that a busy machine runs into them with other kinds. */
const TIMEOUTS = { connect: "1s", first_byte: "1s", idle: "1s", total: "3s", stall: "400ms" };
const upstream = await Upstream.start();
const sluice = await Sluice.start(upstream, {
  ...faultyConfig(upstream),
  limits: { body_bytes: "256KiB" },
  timeouts: { ...TIMEOUTS, drain: "5s", upstream_keep_alive: "500ms" },
});
after(async () => {
  await sluice.stop();
  await upstream.stop();
});

/** How a client behaves once its request is on the way. */
type Manner = (client: RawClient) => Promise<void>;

/** Takes its answer, and no other on a connection that is to be closed. */
const waits: Manner = async (client) => {
  const response = await client.response();
  if (response?.headers.some(([name, value]) => name.toLowerCase() === "connection" && value === "close"))
    client.leave();
};

/** Leaves when the first bytes of the answer are there: a stream's head comes with its first event. */
const leavesInMiddle: Manner = async (client) => {
  await client.sees("HTTP/1.1 ");
  client.leave();
};

const leavesAtOnce: Manner = async (client) => client.leave();

interface Kind {
  /** What it is counted as; null: nothing is wrong with the request or the gateway, or it may be gone before it is seen. */
  readonly row: ErrorRow | null;
  readonly request: Buffer;
  readonly manner: Manner;
  readonly clients: number;
}

function kind(row: ErrorRow | null, form: Parameters<typeof requestBytes>[0], manner: Manner = waits): Kind {
  return { row, request: requestBytes(form), manner, clients: CLIENTS };
}

function fault(row: ErrorRow | null, name: string, body?: string): Kind {
  return kind(row, { headers: { "x-mock": name }, ...(body === undefined ? {} : { body }) });
}

/** A kind whose failures come with a deadline. */
function late(kind: Kind, clients = CLIENTS_THAT_WAIT): Kind {
  return { ...kind, clients };
}

const PAD = "x".repeat(100_000);
const UNFINISHED = requestBytes({ body: PAD }).subarray(0, -10);
const UNFINISHED_CHUNKED = chunkedRequest(Buffer.from(PAD), 32_768).subarray(0, -10);
const FORM = { "content-type": "multipart/form-data; boundary=x" };

const KINDS: Readonly<Record<string, Kind>> = {
  "an ambiguous framing": kind(ERRORS.badFraming, { headers: { "Content-Length": "5" } }),
  "headers too large": kind(ERRORS.headersTooLarge, { headers: { "x-large": "h".repeat(17_000) } }),
  "a target too long": kind(ERRORS.targetTooLong, { target: `/v1/${"x".repeat(9_000)}` }),
  "an invalid header": kind(ERRORS.invalidHeader, { headers: { "x-custom": "a\xffb" } }),
  "an unknown path": kind(ERRORS.notFound, { target: "/v2/chat" }),
  "a wrong method": kind(ERRORS.methodNotAllowed, { method: "PUT" }),
  "no key": kind(ERRORS.keyMissing, { headers: { authorization: "" } }),
  "a wrong key": kind(ERRORS.keyInvalid, { headers: { authorization: "Bearer sk-wrong" } }),
  "a disabled key": kind(ERRORS.keyDisabled, { headers: { authorization: "Bearer sk-off" } }),
  "an expired key": kind(ERRORS.keyExpired, { headers: { authorization: "Bearer sk-old" } }),
  "a forbidden model": kind(ERRORS.modelNotAllowed, { headers: { authorization: "Bearer sk-narrow" } }),
  "a key that must name a model": kind(ERRORS.modelRequiredByKey, {
    target: "/v1/files",
    headers: { authorization: "Bearer sk-narrow" },
  }),
  "a declared length over the limit": kind(ERRORS.bodyTooLarge, { headers: { "content-length": "2000000" } }),
  "a chunked body over the limit": {
    ...kind(ERRORS.bodyTooLarge, {}),
    request: chunkedRequest(Buffer.alloc(300_000, 0x20), 32_768),
  },
  "an empty body": kind(ERRORS.bodyEmpty, { body: "" }),
  "malformed JSON": kind(ERRORS.invalidJson, { body: `{"model":"gpt-4o","pad":"${PAD}"` }),
  "malformed JSON in chunks": {
    ...kind(ERRORS.invalidJson, {}),
    request: chunkedRequest(Buffer.from(`{"model":"gpt-4o","pad":"${PAD}"`), 32_768),
  },
  "invalid UTF-8": kind(ERRORS.invalidUtf8, { body: Buffer.from('{"model":"\xff"}', "latin1") }),
  "nesting too deep": kind(ERRORS.jsonTooDeep, { body: `{"d":${"[".repeat(10_000)}` }),
  "JSON that is no object": kind(ERRORS.jsonNotObject, { body: "[]" }),
  "a wrong type": kind(ERRORS.fieldType, { body: '{"model":5}' }),
  "a form that cannot be read": kind(ERRORS.invalidMultipart, {
    target: "/v1/audio/transcriptions",
    headers: FORM,
    body: "--y",
  }),
  "no model": kind(ERRORS.modelMissing, { body: "{}" }),
  "a duplicate model": kind(ERRORS.fieldDuplicate, { body: '{"model":"a","model":"b"}' }),
  "an unknown model": kind(ERRORS.modelNotFound, { body: '{"model":"gpt-nine"}' }),
  "a body that stops": late({ ...kind(ERRORS.bodyTimeout, {}), request: UNFINISHED }, CLIENTS_WITH_BODIES),
  "a chunked body that stops": late(
    { ...kind(ERRORS.bodyTimeout, {}), request: UNFINISHED_CHUNKED },
    CLIENTS_WITH_BODIES,
  ),
  "a body whose client leaves": { ...kind(null, {}, leavesAtOnce), request: UNFINISHED },
  "a dead provider": kind(ERRORS.upstreamUnreachable, { body: '{"model":"dead"}' }),
  "an untrusted provider": kind(ERRORS.upstreamTls, { body: '{"model":"untrusted"}' }),
  "a provider that does not speak TLS": kind(ERRORS.upstreamTls, { body: '{"model":"not-tls"}' }),
  "a silent provider": late(kind(ERRORS.upstreamConnectTimeout, { body: '{"model":"silent"}' })),
  garbage: fault(ERRORS.upstreamProtocol, "garbage"),
  "a head too large": fault(ERRORS.upstreamProtocol, "huge-header=100000"),
  "a reset before the head": fault(ERRORS.upstreamReset, "reset-before-head"),
  "an end in the head": fault(ERRORS.upstreamReset, "close-in-head"),
  "a stall before the head": late(fault(ERRORS.upstreamFirstByteTimeout, "stall-before-head")),
  "a refused credential": fault(ERRORS.upstreamAuth, "status-401-leaking"),
  "a provider's 500": fault(null, "status=500"),
  "a provider's error event": fault(null, "error-event", STREAM_BODY),
  "a stale connection": fault(null, "stale"),
  "a cut answer": fault(ERRORS.upstreamCut, "cut-mid-stream"),
  "a cut stream": fault(ERRORS.upstreamCut, "cut-mid-stream", STREAM_BODY),
  "garbage in a stream": fault(ERRORS.upstreamCut, "bad-chunk", STREAM_BODY),
  "an early end": fault(ERRORS.upstreamCut, "early-end", STREAM_BODY),
  "a cut close-delimited stream": fault(ERRORS.upstreamCut, "close-delimited-cut", STREAM_BODY),
  "a stalled answer": late(fault(ERRORS.upstreamIdleTimeout, "stall-mid-stream")),
  "a stalled stream": late(fault(ERRORS.upstreamIdleTimeout, "stall-mid-stream", STREAM_BODY)),
  "a stream without end": late(fault(ERRORS.upstreamTotalTimeout, "drip=100", STREAM_BODY)),
  "a client that leaves a stream": kind(
    ERRORS.clientAborted,
    { body: STREAM_BODY, headers: { "x-mock": "stall-mid-stream" } },
    leavesInMiddle,
  ),
  "a client that leaves at once": kind(null, { headers: { "x-mock": "stall-before-head" } }, leavesAtOnce),
};

async function repeatKind(kind: Kind, times: number): Promise<void> {
  await together(kind.clients, () => repeatRequest(sluice, kind.request, kind.manner, times / kind.clients));
}

/** Everything once, so that what is made lazily is there before anything is measured. */
async function warmUp(): Promise<void> {
  await Promise.all(Object.values(KINDS).map((kind) => repeatRequest(sluice, kind.request, kind.manner, 1)));
  await repeatKind(fault(null, "status=500"), 1_000);
  await until("the sockets are closed", async () => (await heldBy(sluice)) === 0);
}

await warmUp();
const check = await LeakCheck.begin(sluice);

for (const [what, kind] of Object.entries(KINDS)) {
  test(`a thousand times: ${what}`, () => check.thousandTimes((times) => repeatKind(kind, times), kind.row));
}

test("the same worker is still there, and serves", async () => {
  strictEqual(workerPid(sluice), check.pid);
  const client = await RawClient.connect(sluice.port);
  strictEqual((await client.ask(requestBytes())).status, 200);
  client.leave();
});
