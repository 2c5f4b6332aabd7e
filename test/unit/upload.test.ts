/** Large bodies go upstream while they arrive: what leaves when, what never does, and what happens when one side ends. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { Socket } from "node:net";
import { after, beforeEach, test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { UPLOAD_BYTES_MIN } from "../../src/base/limits.ts";
import { partScansOpen } from "../../src/providers/request-scan-parts.ts";
import { Random } from "../fuzz/random.ts";
import { RawClient } from "../support/raw-client.ts";
import { chunkedRequest, requestBytes } from "../support/raw-request.ts";
import { configOf, NARROW_KEY, providerConfig, RequestPath, ScriptedProvider } from "../support/request-path.ts";
import { until } from "../support/until.ts";

const ANSWER = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
/** More than the sockets between the two hold. */
const LARGE = 6_000_000;
const BOUNDS = {
  bodyBytes: 33_554_432,
  bodyBytesInFlight: 268_435_456,
  jsonDepth: 64,
  connectionsPerProvider: 8,
  queuePerProvider: 8,
};

const provider = await ScriptedProvider.start(answer);
const path = await RequestPath.start(provider, { bounds: BOUNDS });
after(() => {
  path.stop();
  provider.stop();
});
beforeEach(() => {
  answered = null;
  for (const socket of provider.sockets) socket.destroy();
  provider.sockets.length = 0;
  provider.received.length = 0;
  provider.script = answer;
});

interface Received {
  readonly head: string;
  /** Of the body, as much as has come. */
  readonly body: Buffer;
  readonly length: number;
}

function parsed(bytes: Buffer): Received | null {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const head = bytes.toString("latin1", 0, end);
  return { head, body: bytes.subarray(end + 4), length: Number(/content-length: (\d+)/.exec(head)?.[1] ?? 0) };
}

/** Of the last request that was answered. */
let answered: Received | null = null;

/** Answers a request that is whole, and forgets its bytes. */
function answer(socket: Socket, bytes: Buffer): void {
  const request = parsed(bytes);
  if (request === null || request.body.length < request.length) return;
  answered = request;
  provider.received[provider.sockets.indexOf(socket)] = Buffer.alloc(0);
  socket.write(ANSWER);
}

/** What has come of the request that is not answered yet. */
function coming(): Received | null {
  return parsed(provider.received.at(-1) ?? Buffer.alloc(0));
}

async function arrived(bytes: number): Promise<Received> {
  return until(`the provider has ${bytes} bytes`, () => {
    const request = coming();
    return request !== null && request.body.length >= bytes ? request : undefined;
  });
}

/** `members`, latin1, with `bytes` of text in the place of "TEXT". */
function bodyOf(members: string, bytes = LARGE): Buffer {
  return Buffer.from(
    members.replace("TEXT", () => "x".repeat(bytes)),
    "latin1",
  );
}

const FIRST = '{"model":"allowed","messages":[{"role":"user","content":"TEXT"}]';

/** Sends all of `request` but its last `rest` bytes. */
async function begin(request: Buffer, rest: number, at: RequestPath = path): Promise<RawClient> {
  const client = await RawClient.connect(at.port);
  await client.send(request.subarray(0, request.length - rest));
  return client;
}

async function atRest(client: RawClient, at: RequestPath = path): Promise<void> {
  client.leave();
  await until("nothing is in flight", () => at.pipeline.inFlight === 0);
  strictEqual(partScansOpen(), 0);
}

/** What has to arrive of `sent`: the same but for the model, the option and white space at the end. */
function expected(sent: Buffer): unknown {
  const body = JSON.parse(sent.toString());
  if (body.model === "allowed") body.model = "upstream-allowed";
  if (body.stream === true) body.stream_options = { ...body.stream_options, include_usage: true };
  return body;
}

test("what has come and is right is with the provider before the rest is sent", async () => {
  const body = bodyOf(`${FIRST}}`);
  const client = await begin(requestBytes({ body }), 3);
  const early = await arrived(LARGE - 1_000);
  ok(early.body.length < early.length);
  ok(early.body.includes('"upstream-allowed"'));
  const { status } = await client.ask(body.subarray(-3));
  strictEqual(status, 200);
  const whole = answered;
  strictEqual(whole?.body.length, whole?.length);
  deepStrictEqual(JSON.parse(String(whole?.body)), expected(body));
  const record = path.records().at(-1);
  deepStrictEqual([record?.status, record?.attempts, record?.requestBytes], [200, 1, whole?.length]);
  await atRest(client);
});

test("a body below the bound, and one in chunks, are waited for", async () => {
  const small = bodyOf(`${FIRST}}`, UPLOAD_BYTES_MIN / 2);
  for (const request of [
    requestBytes({ body: small }),
    chunkedRequest(bodyOf(`${FIRST}}`, 2 * UPLOAD_BYTES_MIN), 50_000),
  ]) {
    const client = await begin(request, 4);
    await until("it is in flight", () => path.pipeline.inFlight === 1);
    strictEqual(coming(), null);
    strictEqual((await client.ask(request.subarray(-4))).status, 200);
    await atRest(client);
  }
});

const SHAPES: [string, string][] = [
  ["the model first, a stream last", `${FIRST},"stream":true}`],
  ["a stream that is known at once", `{"model":"allowed","stream":true,"text":"TEXT"}`],
  ["no stream, which is known at once", `{"model":"allowed","stream":false,"text":"TEXT"}`],
  [
    "an option that is there, at once",
    `{"model":"other","stream":true,"stream_options":{"include_usage":true},"text":"TEXT"}`,
  ],
  [
    "an option that is wrong, at once",
    `{"stream_options":{"include_usage":false},"model":"allowed","stream":true,"text":"TEXT"}`,
  ],
  ["an empty option, in front of the text", `{"model":"allowed","stream_options":{ },"text":"TEXT","stream":true}`],
  ["an option that is null, behind it", `${FIRST},"stream":true,"stream_options":null}`],
  ["other options, behind it", `${FIRST},"stream":true,"stream_options":{"x":[1,{"y":"}"}]} , "n":1 } `],
  ["options without a stream", `${FIRST},"stream_options":{"include_usage":true}}`],
  ["the model last", `{"messages":["TEXT"],"stream":true,"model":"allowed"}`],
  ["an escaped model, and white space", ` {\n "model" : "\\u0061llowed" , "text" : "TEXT" }\n\n`],
  ["many small values", `{"model":"allowed","n":[${"[1,{}],".repeat(60_000)}0],"text":"TEXT"}`],
];

for (const [what, members] of SHAPES) {
  test(`${what}: the provider gets what it would get of the whole`, async () => {
    for (const split of [1, 2, 30, 100_000]) {
      const body = bodyOf(members, 400_000);
      const client = await begin(requestBytes({ body }), split);
      await until("it is in flight", () => path.pipeline.inFlight === 1);
      strictEqual((await client.ask(body.subarray(-split))).status, 200);
      const seen = answered;
      strictEqual(seen?.body.length, seen?.length);
      deepStrictEqual(JSON.parse(String(seen?.body)), expected(body));
      await atRest(client);
    }
  });
}

test("any split of any body", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const random = new Random(seed);
  const client = await RawClient.connect(path.port);
  for (let round = 0; round < 60; round += 1) {
    const text = `"a":"${"y".repeat(random.below(200_000))}"`;
    const members = ['"model":"allowed"', '"stream":true', '"stream_options":{"x":"}"}', text, '"b":[1,2,{"c":null}]'];
    const kept = members.filter((member) => member.startsWith('"model') || member === text || random.chance(0.7));
    const order = kept.map((member) => ({ member, at: random.below(1_000) })).sort((a, b) => a.at - b.at);
    const body = Buffer.from(`{"z":"${"z".repeat(UPLOAD_BYTES_MIN)}",${order.map(({ member }) => member).join(",")}}`);
    const request = requestBytes({ body });
    let at = 0;
    while (at < request.length) {
      const end = at + 1 + random.below(random.chance(0.3) ? 40 : 150_000);
      await client.send(request.subarray(at, end));
      at = end;
    }
    strictEqual((await client.response())?.status, 200, `seed ${seed}`);
    const seen = answered;
    deepStrictEqual(JSON.parse(String(seen?.body)), expected(body), `seed ${seed}, round ${round}`);
  }
  await atRest(client);
});

const MALFORMED: [string, string, string][] = [
  ["in the middle", `{"model":"allowed","text":"TEXT",]}`, "invalid_json"],
  ["in its last byte", `{"model":"allowed","text":"TEXT"]`, "invalid_json"],
  ["by what follows it", `{"model":"allowed","text":"TEXT"}}`, "invalid_json"],
  ["by its end", `{"model":"allowed","text":"TEXT"`, "invalid_json"],
  ["in its encoding", `{"model":"allowed","text":"TEXT\xff"}`, "invalid_utf8"],
  ["by a second model", `{"model":"allowed","text":"TEXT","model":"other"}`, "duplicate_field"],
  ["by the type of a field", `{"model":"allowed","text":"TEXT","stream":"yes"}`, "invalid_type"],
];

for (const [where, members, code] of MALFORMED) {
  test(`a body that is wrong ${where} never arrives complete`, async () => {
    const body = bodyOf(members);
    const client = await begin(requestBytes({ body }), 1);
    await arrived(1_000_000);
    await client.send(body.subarray(-1));
    const response = await client.response();
    strictEqual(response?.status, 400);
    match(String(response?.body), new RegExp(code));
    await until("the provider's connection is gone", () => provider.sockets.every((socket) => socket.destroyed));
    const seen = coming();
    ok(seen !== null && seen.body.length < seen.length);
    await atRest(client);
  });
}

test("a model that nobody serves, or that the key may not use, is refused before the rest comes", async () => {
  for (const [model, headers, status] of [
    ["unknown", {}, 404],
    ["other", { authorization: `Bearer ${NARROW_KEY}` }, 403],
  ] as const) {
    const request = requestBytes({ headers, body: bodyOf(`{"model":"${model}","text":"TEXT"}`) });
    const client = await begin(request, 5_000_000);
    strictEqual((await client.response())?.status, status);
    await atRest(client);
  }
  strictEqual(provider.bytesTotal, 0);
});

test("a client that leaves in the middle takes the provider's request along", async () => {
  const before = path.records().length;
  const client = await begin(requestBytes({ body: bodyOf(`${FIRST}}`) }), 10);
  await arrived(LARGE - 1_000);
  client.leave();
  await until("the provider's connection is gone", () => provider.sockets.every((socket) => socket.destroyed));
  await until("it is recorded", () => path.records().length > before);
  strictEqual(path.records().at(-1)?.error, ERRORS.clientAborted.number);
  await atRest(client);
});

test("an answer that comes before the rest is the client's, and the connection goes on behind the rest", async () => {
  const refusal =
    'HTTP/1.1 413 Content Too Large\r\ncontent-type: application/json\r\ncontent-length: 12\r\n\r\n{"error":{}}';
  provider.script = (socket, bytes) => {
    if (bytes.length < 500_000) return;
    provider.script = () => undefined;
    socket.write(refusal);
  };
  const request = requestBytes({ body: bodyOf(`${FIRST}}`) });
  const client = await begin(request, 2_000_000);
  strictEqual((await client.response())?.status, 413);
  await until("that connection is gone", () => provider.sockets.every((socket) => socket.destroyed));
  provider.script = answer;
  await client.send(request.subarray(-2_000_000));
  strictEqual((await client.ask(requestBytes())).status, 404);
  strictEqual((await client.ask(requestBytes({ body: '{"model":"other"}' }))).status, 200);
  await atRest(client);
});

test("a provider that breaks in the middle is a 502 at once", async () => {
  provider.script = (socket, bytes) => {
    if (bytes.length > 500_000) socket.resetAndDestroy();
  };
  const client = await begin(requestBytes({ body: bodyOf(`${FIRST}}`) }), 100_000);
  strictEqual((await client.response())?.status, 502);
  await atRest(client);
});

test("a stale connection under it is replaced, and the body begins anew", async () => {
  const warm = await RawClient.connect(path.port);
  strictEqual((await warm.ask(requestBytes({ body: '{"model":"other"}' }))).status, 200);
  provider.script = (socket, bytes) => {
    if (provider.sockets.indexOf(socket) === 0 && bytes.length > 200_000) socket.resetAndDestroy();
    else if (provider.sockets.indexOf(socket) > 0) answer(socket, bytes);
  };
  const body = bodyOf(`${FIRST}}`);
  const request = requestBytes({ body });
  await warm.send(request.subarray(0, -100));
  await until("another connection has it", () => provider.sockets.length === 2);
  strictEqual((await warm.ask(request.subarray(-100))).status, 200);
  deepStrictEqual(JSON.parse(String(answered?.body)), expected(body));
  strictEqual(path.records().at(-1)?.attempts, 2);
  await atRest(warm);
});

test("a client that stops sending gets a 408, and the provider's request ends", async () => {
  const timeouts = { ...configOf({}, "").timeouts, stallMs: 300 };
  const hasty = await RequestPath.start(provider, { bounds: BOUNDS, timeouts });
  after(() => hasty.stop());
  const client = await begin(requestBytes({ body: bodyOf(`${FIRST}}`) }), 100, hasty);
  await arrived(LARGE - 1_000);
  strictEqual((await client.response())?.status, 408);
  await until("the provider's connection is gone", () => provider.sockets.every((socket) => socket.destroyed));
  await atRest(client, hasty);
});

test("a transport that cannot send what is not there gets the whole", async () => {
  const other = await RequestPath.start(provider, { bounds: BOUNDS });
  after(() => other.stop());
  const undici = providerConfig(provider.port, { transport: "undici" });
  await other.reload(configOf({ main: undici }, other.dataDir, { bounds: BOUNDS }));
  const body = bodyOf(`${FIRST},"stream":true}`);
  const client = await begin(requestBytes({ body }), 10, other);
  await until("it is in flight", () => other.pipeline.inFlight === 1);
  strictEqual(provider.bytesTotal, 0);
  strictEqual((await client.ask(body.subarray(-10))).status, 200);
  deepStrictEqual(JSON.parse(String(answered?.body)), expected(body));
  await atRest(client, other);
});
