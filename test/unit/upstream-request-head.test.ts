/** The head of an upstream request, byte for byte. */
import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { requestHead } from "../../src/upstream/request-head.ts";
import type { UpstreamRequest } from "../../src/upstream/transport.ts";

const HOST = "\r\nhost: api.test:8000";
const LINES = "\r\nx-a: 1\r\nx-b: 2";

function request(method: string, body: string | null, lines = LINES): UpstreamRequest {
  const bytes = body === null ? null : Buffer.from(body);
  return { method, path: "/v1/x?y=1", lines, body: bytes, bodyReady: bytes?.length ?? 0 };
}

const CASES: readonly [UpstreamRequest, string][] = [
  [request("POST", "{}"), `POST /v1/x?y=1 HTTP/1.1${HOST}${LINES}\r\ncontent-length: 2\r\n\r\n`],
  [request("POST", ""), `POST /v1/x?y=1 HTTP/1.1${HOST}${LINES}\r\ncontent-length: 0\r\n\r\n`],
  [request("POST", null), `POST /v1/x?y=1 HTTP/1.1${HOST}${LINES}\r\ncontent-length: 0\r\n\r\n`],
  [request("GET", null), `GET /v1/x?y=1 HTTP/1.1${HOST}${LINES}\r\n\r\n`],
  [request("DELETE", null, ""), `DELETE /v1/x?y=1 HTTP/1.1${HOST}\r\n\r\n`],
  [request("DELETE", "é"), `DELETE /v1/x?y=1 HTTP/1.1${HOST}${LINES}\r\ncontent-length: 2\r\n\r\n`],
];

test("the length of a body that grows is that which it will have", () => {
  const head = `POST /v1/x?y=1 HTTP/1.1${HOST}${LINES}\r\ncontent-length: 5\r\n\r\n`;
  strictEqual(requestHead({ ...request("POST", "12345"), bodyReady: 2 }, HOST), head);
});

for (const [form, head] of CASES) {
  test(`${form.method} with ${form.body === null ? "no body" : `${form.body.length} bytes`}`, () =>
    strictEqual(requestHead(form, HOST), head));
}
