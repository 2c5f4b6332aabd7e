/** Request bodies on their way up: sizes around the limit, chunked, in small pieces; HEAD and Expect. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { ask, errorOf } from "../support/http-client.ts";
import { RawClient } from "../support/raw-client.ts";
import { CHAT_BODY, chunkedRequest, requestBytes } from "../support/raw-request.ts";
import { headerOf } from "../support/raw-response.ts";
import { startStage } from "../support/stage.ts";
import { bodyText, headerValues } from "../support/upstream.ts";

const LIMIT = 8_388_608;
const { sluice, upstream } = await startStage(() => ({ limits: { body_bytes: "8MiB" } }));

function digest(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function upload(body: Buffer<ArrayBuffer>): Promise<{ status: number; code: unknown }> {
  const headers = { "content-type": "application/octet-stream" };
  const answer = await ask(sluice, "/uploads/u/parts", { body, headers });
  return { status: answer.status, code: answer.status === 200 ? null : errorOf(answer)["code"] };
}

test("an upload of exactly the limit passes by checksum", async () => {
  const body = randomBytes(LIMIT);
  deepStrictEqual(await upload(body), { status: 200, code: null });
  strictEqual((await upstream.lastRequest()).bodySha256, digest(body));
});

test("one byte more is refused and does not reach the provider", async () => {
  deepStrictEqual(await upload(randomBytes(LIMIT + 1)), { status: 413, code: "request_too_large" });
  strictEqual((await upstream.journal()).requestsTotal, 0);
});

test("a declared length over the limit is refused before the body is sent", async () => {
  const client = await RawClient.connect(sluice.port);
  const response = await client.ask(requestBytes({ headers: { "content-length": String(LIMIT + 1) }, body: "{" }));
  strictEqual(response.status, 413);
  await client.close();
});

for (const chunkBytes of [1, 7, 1_000, 70_000]) {
  test(`a chunked body in chunks of ${chunkBytes} arrives whole with a length`, async () => {
    const body = Buffer.from(
      JSON.stringify({ model: "gpt-4o-mini", pad: "é".repeat(Math.min(chunkBytes * 20, 300_000)) }),
    );
    const client = await RawClient.connect(sluice.port);
    const response = await client.ask(chunkedRequest(body, chunkBytes));
    strictEqual(response.status, 200);
    const seen = await upstream.lastRequest();
    strictEqual(seen.bodySha256, digest(body));
    deepStrictEqual(headerValues(seen, "content-length"), [String(body.length)]);
    client.leave();
  });
}

test("a chunked body over the limit is refused before it is complete", async () => {
  const client = await RawClient.connect(sluice.port);
  const whole = chunkedRequest(Buffer.alloc(LIMIT + 100_000, 0x20), 65_536);
  await client.send(whole.subarray(0, whole.length - 5));
  const response = await client.response();
  strictEqual(response?.status, 413);
  strictEqual((await upstream.journal()).requestsTotal, 0);
  client.leave();
});

test("a request that arrives byte by byte is answered", async () => {
  const client = await RawClient.connect(sluice.port);
  const [line, rest] = splitAfterLine(requestBytes());
  await client.send(line);
  for (const byte of rest) await client.send(Buffer.from([byte]));
  strictEqual((await client.response())?.status, 200);
  client.leave();
});

/** The request line must come in one segment; what follows may come in any. */
function splitAfterLine(request: Buffer): [Buffer, Buffer] {
  const end = request.indexOf("\r\n") + 2;
  return [request.subarray(0, end), request.subarray(end)];
}

test("a keep-alive connection carries many requests", async () => {
  const client = await RawClient.connect(sluice.port);
  for (let i = 0; i < 100; i += 1) strictEqual((await client.ask(requestBytes())).status, 200);
  strictEqual((await upstream.journal()).requestsTotal, 100);
  client.leave();
});

test("upstream connections are reused", async () => {
  for (let i = 0; i < 20; i += 1) await ask(sluice, "/chat/completions", { body: CHAT_BODY });
  strictEqual((await upstream.journal()).connectionsTotal <= 1, true);
});

test("HEAD is answered without a body, and the connection goes on", async () => {
  const client = await RawClient.connect(sluice.port);
  const head = requestBytes({
    method: "HEAD",
    target: "/v1/files/file-1",
    headers: { "content-length": "" },
    body: "",
  });
  const response = await client.ask(head, true);
  strictEqual(response.status, 200);
  strictEqual((await upstream.lastRequest()).method, "HEAD");
  strictEqual((await client.ask(requestBytes())).status, 200);
  client.leave();
});

test("an answer without a body keeps the connection in step", async () => {
  const client = await RawClient.connect(sluice.port);
  const request = { method: "DELETE", target: "/v1/files/file-2", body: "" };
  strictEqual((await client.ask(requestBytes({ ...request, headers: { "x-mock": "status-204" } }))).status, 204);
  strictEqual((await client.ask(requestBytes())).status, 200);
  client.leave();
});

test("Expect: 100-continue is answered before the body, and the request goes on", async () => {
  const client = await RawClient.connect(sluice.port);
  const whole = requestBytes({ headers: { expect: "100-continue" } });
  const bodyAt = whole.indexOf("\r\n\r\n") + 4;
  await client.send(whole.subarray(0, bodyAt));
  await client.sees("100 Continue");
  const response = await client.ask(whole.subarray(bodyAt));
  strictEqual(response.status, 200);
  strictEqual(headerOf(response, "content-type"), "application/json");
  client.leave();
});

test("a provider that answers before it read the upload is heard", async () => {
  const body = randomBytes(4_000_000);
  const headers = { "content-type": "application/octet-stream", "x-mock": "early-answer=400" };
  const answer = await ask(sluice, "/uploads/u/parts", { body, headers });
  strictEqual([400, 502].includes(answer.status), true, String(answer.status));
});

test("the model in a multipart form is renamed, the rest passes byte for byte", async () => {
  const file = randomBytes(5_000);
  const part = (name: string, value: string): string =>
    `--xyz\r\ncontent-disposition: form-data; name="${name}"${value}\r\n`;
  const before = Buffer.from(`${part("file", '; filename="a.wav"\r\ncontent-type: audio/wav\r\n')}`);
  const after = (model: string): Buffer => Buffer.from(`\r\n${part("model", `\r\n\r\n${model}`)}--xyz--\r\n`);
  const body = Buffer.concat([before, file, after("gpt-4o")]);
  const headers = { "content-type": "multipart/form-data; boundary=xyz" };
  const answer = await ask(sluice, "/audio/transcriptions", { body, headers });
  strictEqual(answer.status, 200, answer.text);
  const expected = Buffer.concat([before, file, after("upstream-model-2024")]);
  strictEqual(bodyText(await upstream.lastRequest()), expected.toString());
});
