/** The head of an answer: what of the provider's passes, what never does, and that no value can end a line. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ownHead, responseHead } from "../../src/pipeline/response-head.ts";
import type { ResponseHeaders } from "../../src/upstream/transport.ts";
import { exchangeOf } from "../support/exchange.ts";

/** The lines that a head has because of the provider's headers. */
function linesOf(headers: ResponseHeaders): string[] {
  const lines = responseHead(exchangeOf(), 200, headers).split("\r\n");
  strictEqual(lines[0], "200 OK");
  return lines.slice(1).filter((line) => !/^(server-timing|x-request-id): /.test(line));
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
  ["its request id", { "x-request-id": "theirs" }, ["x-upstream-request-id: theirs"]],
  ["a line feed", { "x-a": "1\nset-cookie: b=2" }, []],
  ["a carriage return", { "x-a": "1\rx" }, []],
  ["a NUL in one of several", { "x-a": ["1", "2\0"] }, ["x-a: 1"]],
  ["a line break in its request id", { "x-request-id": "a\r\nx: y" }, []],
];

for (const [what, headers, expected] of CASES) {
  test(`a header of the provider's: ${what}`, () => deepStrictEqual(linesOf(headers), expected));
}

const STATUSES: [number, string][] = [
  [201, "201 Created"],
  [429, "429 Too Many Requests"],
  [599, "599 Unknown"],
];

for (const [status, line] of STATUSES) {
  test(`the status line of ${status}`, () =>
    strictEqual(responseHead(exchangeOf(), status, {}).split("\r\n")[0], line));
}

test("an answer of our own", () => {
  const exchange = exchangeOf();
  exchange.status = 503;
  const lines = [
    "503 Service Unavailable",
    "content-type: application/json",
    "retry-after: 1",
    "server-timing: auth;dur=0.000, recv;dur=0.000, scan;dur=0.000, route;dur=0.000, upstream;dur=0.000",
    "x-request-id: req_test",
  ];
  deepStrictEqual(ownHead(exchange, "\r\nretry-after: 1").split("\r\n"), lines);
});
