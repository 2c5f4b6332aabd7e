/** What of a provider's headers passes, what never does, and that no value can end a line. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { headOf, type ResponseHeaders } from "../../src/upstream/response-headers.ts";
import type { ResponseHead } from "../../src/upstream/transport.ts";

function linesOf(headers: ResponseHeaders): string[] {
  const [first, ...lines] = headOf(200, headers).lines.split("\r\n");
  strictEqual(first, "");
  return lines;
}

const CASES: [string, ResponseHeaders, string[]][] = [
  ["a plain one", { "content-type": "a/b" }, ["content-type: a/b"]],
  ["several of one name", { "x-a": ["1", "2"] }, ["x-a: 1", "x-a: 2"]],
  ["an empty one", { "x-a": "" }, ["x-a: "]],
  ["bytes over ASCII", { "x-a": "\xe9" }, ["x-a: \xe9"]],
  ["framing", { "content-length": "1", "transfer-encoding": "chunked", trailer: "x" }, []],
  ["hop by hop", { connection: "keep-alive", "keep-alive": "timeout=5", upgrade: "h2c", te: "x" }, []],
  ["named by Connection", { connection: "close, X-Private", "x-private": "1", "x-b": "2" }, ["x-b: 2"]],
  ["named by two of them", { connection: ["x-a", "x-b"], "x-a": "1", "x-b": "2" }, []],
  ["credentials", { "set-cookie": ["a=1"], "www-authenticate": "Basic", "proxy-authenticate": "Basic" }, []],
  ["of the provider's host", { "strict-transport-security": "max-age=1", "alt-svc": "h3", date: "x" }, []],
  ["its request id", { "x-request-id": "theirs" }, []],
  ["a line feed", { "x-a": "1\nset-cookie: b=2" }, []],
  ["a carriage return", { "x-a": "1\rx" }, []],
  ["a NUL in one of several", { "x-a": ["1", "2\0"] }, ["x-a: 1"]],
];

for (const [what, headers, expected] of CASES) {
  test(`a header of the provider's: ${what}`, () => deepStrictEqual(linesOf(headers), expected));
}

const FACTS: [string, ResponseHeaders, Partial<ResponseHead>][] = [
  ["nothing", {}, { contentType: "", contentEncoding: "", contentLength: -1, closeDelimited: true }],
  ["a length", { "content-length": "812" }, { contentLength: 812, closeDelimited: false }],
  ["chunks", { "transfer-encoding": "chunked" }, { contentLength: -1, closeDelimited: false }],
  [
    "a type",
    { "content-type": "text/event-stream; charset=utf-8" },
    { contentType: "text/event-stream; charset=utf-8" },
  ],
  ["an encoding", { "content-encoding": "gzip" }, { contentEncoding: "gzip" }],
  ["the first of two types", { "content-type": ["a/b", "c/d"] }, { contentType: "a/b" }],
  ["its request id", { "x-request-id": "theirs" }, { upstreamRequestId: "theirs" }],
  ["a line break in its request id", { "x-request-id": "a\r\nx: y" }, { upstreamRequestId: "" }],
];

for (const [what, headers, facts] of FACTS) {
  test(`what a head says of ${what}`, () => {
    const head = headOf(201, headers);
    deepStrictEqual({ ...head, ...facts, status: 201 }, head);
  });
}
