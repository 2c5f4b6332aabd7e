/** The client's side of an exchange: what goes over the wire for every kind of answer, whole or in pieces. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Socket } from "node:net";
import { after, test } from "node:test";
import { ClientStream } from "../../src/http/client-stream.ts";
import type { UwsResponse } from "../../src/http/uws.ts";
import { ChunkReader } from "../support/chunk-reader.ts";
import { RawClient } from "../support/raw-client.ts";
import { chunkedRequest, requestBytes } from "../support/raw-request.ts";
import { headerOf } from "../support/raw-response.ts";
import { RequestPath, ScriptedProvider } from "../support/request-path.ts";
import { until } from "../support/until.ts";

const BODY = Buffer.from(Array.from({ length: 6_000 }, (_, line) => `${line}`.padStart(7, ".")).join("\n"));
const PASSED = requestBytes({
  method: "GET",
  target: "/v1/files/1/content",
  body: "",
  headers: { "content-length": "" },
});

const provider = await ScriptedProvider.start(() => undefined);
const path = await RequestPath.start(provider);
after(() => {
  path.stop();
  provider.stop();
});

/** The provider answers everything with these bytes. */
function answer(...parts: (string | Buffer)[]): void {
  provider.script = (socket: Socket) => {
    for (const part of parts) socket.write(part);
  };
}

function headOf(headers: string): string {
  return `HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n${headers}\r\n`;
}

async function atRest(): Promise<void> {
  await until("nothing is in flight", () => path.pipeline.inFlight === 0);
}

for (const headBytes of [0, 7_000, 15_000, 15_300, 20_000, 40_000, 60_000]) {
  for (const framing of ["content-length", "chunked"] as const) {
    test(`every byte arrives once behind a head of ${headBytes} bytes (${framing})`, async () => {
      const huge = `x-huge: ${"h".repeat(headBytes)}\r\n`;
      const size = BODY.length.toString(16);
      if (framing === "content-length") answer(headOf(`${huge}content-length: ${BODY.length}\r\n`), BODY);
      else answer(headOf(`${huge}transfer-encoding: chunked\r\n`), `${size}\r\n`, BODY, "\r\n0\r\n\r\n");
      const client = await RawClient.connect(path.port);
      const response = await client.ask(PASSED);
      ok(response.complete && response.body.equals(BODY));
      strictEqual(headerOf(response, "x-huge").length, headBytes);
      client.leave();
      await atRest();
    });
  }
}

const REFUSED_HEADS = [
  ["/v1/chat/completions", 405],
  ["/nowhere", 404],
  ["/v1/models", 405],
] as const;

for (const [target, status] of REFUSED_HEADS) {
  test(`an error for HEAD ${target} has a length and no body: the next answer begins where it should`, async () => {
    const client = await RawClient.connect(path.port);
    const head = await client.ask(requestBytes({ method: "HEAD", target, body: "" }), true);
    strictEqual(head.status, status);
    ok(Number(headerOf(head, "content-length")) > 0);
    const next = await client.ask(requestBytes({ method: "GET", target: "/v1/models", body: "" }));
    deepStrictEqual([next.status, next.complete], [200, true]);
    client.leave();
    await atRest();
  });
}

for (const status of ["204 No Content", "304 Not Modified"]) {
  test(`an answer of ${status} ends with its head`, async () => {
    answer(`HTTP/1.1 ${status}\r\n\r\n`);
    const client = await RawClient.connect(path.port);
    strictEqual((await client.ask(PASSED)).status, Number(status.slice(0, 3)));
    strictEqual((await client.ask(requestBytes({ method: "GET", target: "/v1/models", body: "" }))).status, 200);
    client.leave();
    await atRest();
  });
}

const REFUSED_BODIES: [string, Buffer][] = [
  ...[1_000, 60_000, 70_000, 100_000, 500_000].map((bytes): [string, Buffer] => [
    `of ${bytes} bytes`,
    requestBytes({ body: "x".repeat(bytes), headers: { authorization: "Bearer wrong" } }),
  ]),
  ["in one chunk", chunkedRequest(Buffer.from("x"), 1, { authorization: "Bearer wrong" })],
  ["in chunks", chunkedRequest(Buffer.alloc(100_000), 9_000, { authorization: "Bearer wrong" })],
];

for (const [what, request] of REFUSED_BODIES) {
  test(`an answer to the head alone arrives, also when the body came with it: a body ${what}`, async () => {
    const client = await RawClient.connect(path.port);
    const { status, complete } = await client.ask(request);
    deepStrictEqual([status, complete], [401, true]);
    client.leave();
    await atRest();
  });
}

/** A reader that takes `pace` bytes at a time: the package's side of it, which buffers what a write gets beyond. */
class SlowReader implements UwsResponse {
  readonly taken: Buffer[] = [];
  corks = 0;
  readonly #pace: number;
  #offset = 0;
  #writable: (offset: number) => boolean = () => true;

  constructor(pace: number) {
    this.#pace = pace;
  }

  /** It caught up. */
  catchUp(): void {
    this.#writable(this.#offset);
  }

  tryEnd(chunk: Uint8Array, totalBytes: number): [boolean, boolean] {
    this.taken.push(Buffer.from(chunk.subarray(0, this.#pace)));
    this.#offset += Math.min(chunk.length, this.#pace);
    return [chunk.length <= this.#pace, this.#offset === totalBytes];
  }

  getWriteOffset(): number {
    return this.#offset;
  }

  onWritable(handler: (offset: number) => boolean): void {
    this.#writable = handler;
  }

  cork(write: () => void): void {
    this.corks += 1;
    write();
  }

  getRemoteAddress(): ArrayBuffer {
    return new ArrayBuffer(4);
  }

  getProxiedRemoteAddress(): ArrayBuffer {
    return new ArrayBuffer(0);
  }

  /** Of an answer in chunks: of chunks that are whole, and whether it ended. */
  body(): [Buffer, boolean] {
    const all = Buffer.concat(this.taken);
    const chunks = new ChunkReader();
    const body = Buffer.concat(chunks.read(all.subarray(all.indexOf("\r\n\r\n") + 4)));
    strictEqual(chunks.rest.length, 0);
    return [body, chunks.ended];
  }

  writeStatus(): void {}
  end(): void {}
  endWithoutBody(): void {}
  close(): void {}
  onAborted(): void {}
  onData(): void {}
}

function streamTo(reader: SlowReader, length: number): ClientStream {
  const stream = new ClientStream(reader, path.pipeline, () => undefined);
  stream.begin("200 OK", length);
  return stream;
}

for (const length of [-1, BODY.length]) {
  test(`what a slow reader has not taken is kept as a copy (${length < 0 ? "chunked" : "of known length"})`, () => {
    const reader = new SlowReader(1_000);
    const stream = streamTo(reader, length);
    for (let at = 0; at < BODY.length; at += 16_000) {
      const chunk = Buffer.from(BODY.subarray(at, at + 16_000));
      stream.write(chunk);
      chunk.fill("#");
    }
    for (let turns = 0; stream.blocked; turns += 1) {
      ok(turns <= BODY.length / 1_000 + 2);
      reader.catchUp();
    }
    if (length < 0) deepStrictEqual(reader.body(), [BODY, false]);
    else ok(Buffer.concat(reader.taken).equals(BODY));
  });
}

for (const bytes of [0, 1, 1_000, 15_000, 40_000, 300_000]) {
  test(`the head leaves with the first bytes, and the last ${bytes} with their end, in one piece each`, () => {
    const reader = new SlowReader(1_000_000);
    const stream = streamTo(reader, -1);
    const last = Buffer.alloc(bytes, BODY);
    stream.write(BODY);
    strictEqual(reader.taken.length, 1);
    stream.end(last);
    deepStrictEqual([reader.corks, reader.taken.length, stream.closed], [2, 2, true]);
    deepStrictEqual(reader.body(), [Buffer.concat([BODY, last]), true]);
  });
}

for (const pace of [1, 1_000]) {
  test(`what ends while its reader is behind is kept, and ends when it was taken, ${pace} bytes at a time`, () => {
    const reader = new SlowReader(pace);
    const stream = streamTo(reader, -1);
    stream.write(BODY.subarray(0, 2_000));
    const last = Buffer.from(BODY.subarray(2_000, 2_500));
    stream.end(last);
    last.fill("#");
    deepStrictEqual([reader.corks, stream.closed], [1, false]);
    for (let turns = 0; !stream.closed; turns += 1) {
      ok(turns < 3_000);
      reader.catchUp();
    }
    deepStrictEqual(reader.body(), [BODY.subarray(0, 2_500), true]);
  });
}

test("a stream that is cut while its reader is behind writes no more", () => {
  const reader = new SlowReader(1_000);
  const stream = streamTo(reader, -1);
  stream.write(BODY);
  stream.write(BODY);
  stream.cut();
  reader.catchUp();
  stream.end(BODY);
  deepStrictEqual([reader.corks, stream.closed], [1, true]);
});

test("a chunked answer that came in one piece goes on as one, with a length", async () => {
  answer(`${headOf("transfer-encoding: chunked\r\n")}5\r\nwhole\r\n0\r\n\r\n`);
  const client = await RawClient.connect(path.port);
  const response = await client.ask(PASSED);
  deepStrictEqual([response.body.toString(), headerOf(response, "content-length")], ["whole", "5"]);
  client.leave();
  await atRest();
});

test("an answer of known length is not cut into slices: each chunk of it leaves at once", () => {
  const reader = new SlowReader(BODY.length);
  const stream = streamTo(reader, BODY.length);
  stream.write(BODY.subarray(0, 30_000));
  stream.write(BODY.subarray(30_000));
  deepStrictEqual(
    reader.taken.map(({ length }) => length),
    [30_000, BODY.length - 30_000],
  );
  deepStrictEqual([reader.corks, stream.closed], [2, true]);
});

test("a reader that falls behind again and again gets every byte of a large answer of known length once", async () => {
  const large = Buffer.from(Array.from({ length: 8_388_608 / 8 }, (_, line) => `${line}`.padStart(8, ".")).join(""));
  answer(headOf(`content-length: ${large.length}\r\n`), large);
  const client = await RawClient.connect(path.port);
  await client.send(PASSED);
  client.socket.on("data", () => {
    client.socket.pause();
    setImmediate(() => client.socket.resume());
  });
  const response = await client.response();
  ok(response?.complete && response.body.equals(large));
  client.leave();
  await atRest();
});
