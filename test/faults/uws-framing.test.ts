/**
 * What uWebSockets.js accepts and HTTP forbids: the guard closes the connection, and nothing of it or behind it
 * reaches a provider. A newer build that behaves otherwise shows here.
 */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { RawClient } from "../support/raw-client.ts";
import { CHAT_BODY } from "../support/raw-request.ts";
import { startStage } from "../support/stage.ts";
import { bodyText, headerValues } from "../support/upstream.ts";

const { sluice, upstream } = await startStage();
const LENGTH = CHAT_BODY.length;
const LINE = "POST /v1/chat/completions HTTP/1.1\r\n";
const KEY_LINE = `authorization: Bearer ${sluice.key}\r\n`;
const SIZE = LENGTH.toString(16);
const CHUNKED = `${SIZE}\r\n${CHAT_BODY}\r\n0\r\n\r\n`;
const SMUGGLED = `DELETE /v1/files/smuggled HTTP/1.1\r\nhost: h\r\n${KEY_LINE}\r\n`;

/** A request with exactly these header lines after host and key. */
function request(headers: string, body: string, line = LINE): string {
  return `${line}host: h\r\n${KEY_LINE}content-type: application/json\r\n${headers}\r\n${body}`;
}

async function send(text: string): Promise<RawClient> {
  const client = await RawClient.connect(sluice.port);
  await client.send(Buffer.from(text, "latin1"));
  return client;
}

const REFUSED: Readonly<Record<string, string>> = {
  "two content-lengths that differ": request(`content-length: ${LENGTH}\r\ncontent-length: 5\r\n`, CHAT_BODY),
  "two content-lengths that agree": request(`content-length: ${LENGTH}\r\n`.repeat(2), CHAT_BODY),
  "an empty content-length": request("content-length:\r\n", CHAT_BODY),
  "a content-length with a sign": request(`content-length: +${LENGTH}\r\n`, CHAT_BODY),
  "a negative content-length": request("content-length: -1\r\n", CHAT_BODY),
  "a list of content-lengths": request(`content-length: ${LENGTH}, ${LENGTH}\r\n`, CHAT_BODY),
  "a content-length in hex": request("content-length: 0x43\r\n", CHAT_BODY),
  "a transfer-encoding that is not chunked alone": request("transfer-encoding: gzip, chunked\r\n", CHUNKED),
  "an unknown transfer-encoding": request("transfer-encoding: xchunked\r\n", CHUNKED),
  "transfer-encoding identity": request("transfer-encoding: identity\r\n", CHUNKED),
  "two transfer-encodings": request("transfer-encoding: chunked\r\n".repeat(2), CHUNKED),
  "two hosts": request(`host: other\r\ncontent-length: ${LENGTH}\r\n`, CHAT_BODY),
  "an empty header name": request(`: x\r\ncontent-length: ${LENGTH}\r\n`, CHAT_BODY),
  "an unknown method": request(`content-length: ${LENGTH}\r\n`, CHAT_BODY, "FOO /v1/chat/completions HTTP/1.1\r\n"),
  "a method in lower case": request(
    `content-length: ${LENGTH}\r\n`,
    CHAT_BODY,
    "post /v1/chat/completions HTTP/1.1\r\n",
  ),
  "a target that is not ASCII": request(`content-length: ${LENGTH}\r\n`, CHAT_BODY, "POST /v1/ch\xe9t HTTP/1.1\r\n"),
  "a malformed host": `${LINE}host: a b\r\n${KEY_LINE}content-length: ${LENGTH}\r\n\r\n${CHAT_BODY}`,
};

for (const [what, text] of Object.entries(REFUSED)) {
  test(`closed without an answer, with all that came behind it: ${what}`, async () => {
    const client = await send(text + SMUGGLED);
    strictEqual(await client.response(), null);
    await client.close();
    strictEqual((await upstream.journal()).requestsTotal, 0);
  });
}

test("each of them left a record that says so", async () => {
  const rows = await sluice.records(Object.keys(REFUSED).length);
  deepStrictEqual(new Set(rows.map((row) => row.error)), new Set(["bad_framing"]));
});

const BY_THE_PARSER: Readonly<Record<string, [string, number]>> = {
  "content-length and transfer-encoding": [
    request(`content-length: ${LENGTH}\r\ntransfer-encoding: chunked\r\n`, CHUNKED),
    400,
  ],
  "no host": [`${LINE}${KEY_LINE}content-length: ${LENGTH}\r\n\r\n${CHAT_BODY}`, 400],
  "a chunk size beyond 64 bits": [request("transfer-encoding: chunked\r\n", "ffffffffffffffff\r\n"), 400],
  "HTTP/1.0": [request(`content-length: ${LENGTH}\r\n`, CHAT_BODY, LINE.replace("1.1", "1.0")), 505],
  "a target in absolute form": [request("content-length: 0\r\n", "", "POST http://h/v1/files HTTP/1.1\r\n"), 505],
  "a TLS handshake": ["\x16\x03\x01\x02\x00\x01\r\n\r\n", 505],
  trailers: [request("transfer-encoding: chunked\r\n", CHUNKED.replace("\r\n\r\n", "\r\nx: y\r\n\r\n")), 505],
};

for (const [what, [text, status]] of Object.entries(BY_THE_PARSER)) {
  test(`answered ${status} and closed by the parser: ${what}`, async () => {
    const client = await send(text);
    strictEqual((await client.response())?.status, status);
    await client.close();
    strictEqual((await upstream.journal()).requestsTotal, 0);
  });
}

const LENIENT: Readonly<Record<string, string>> = {
  "a chunk size that ends with a bare LF": request(
    "transfer-encoding: chunked\r\n",
    CHUNKED.replace(`${SIZE}\r\n`, `${SIZE}\n`),
  ),
  "chunk data without its CRLF": request(
    "transfer-encoding: chunked\r\n",
    CHUNKED.replace(`${CHAT_BODY}\r\n`, `${CHAT_BODY}XX`),
  ),
  "chunked in another case": request("Transfer-Encoding: Chunked\r\n", CHUNKED),
};

for (const [what, text] of Object.entries(LENIENT)) {
  test(`accepted, framed anew for the provider, and the connection is closed: ${what}`, async () => {
    const client = await send(text);
    strictEqual((await client.response())?.status, 200);
    const seen = await upstream.lastRequest();
    deepStrictEqual(headerValues(seen, "content-length"), [String(seen.bodyBytes)]);
    deepStrictEqual(headerValues(seen, "transfer-encoding"), []);
    strictEqual(bodyText(seen).includes("Say it."), true);
    await client.close();
  });
}

const SLOW: Readonly<Record<string, string>> = {
  "a space before the colon": request("transfer-encoding : chunked\r\n", CHUNKED),
  "a control character in a value": request(`x: a\x01b\r\ncontent-length: ${LENGTH}\r\n`, CHAT_BODY),
  "a folded header line": request(`x: a\r\n b\r\ncontent-length: ${LENGTH}\r\n`, CHAT_BODY),
  "a bare LF in the head": request(`x: a\ncontent-length: ${LENGTH}\r\n`, CHAT_BODY),
};

test("a chunk extension is waited on until the body is overdue", async () => {
  const client = await send(request("transfer-encoding: chunked\r\n", CHUNKED.replace(SIZE, `${SIZE};a=b`)));
  strictEqual((await client.response())?.status, 408);
  await client.close();
});

test("some malformed heads wait for the parser's own timeout of 10 s, and reach nobody", async () => {
  const clients = await Promise.all(Object.values(SLOW).map(send));
  const answers = await Promise.all(clients.map((client) => client.response()));
  deepStrictEqual(new Set(answers), new Set([null]));
  strictEqual((await upstream.journal()).requestsTotal, 0);
});
