/** The request head: which framing costs the connection, which headers go on, and what the gateway takes for itself. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import { headerList } from "../../src/base/header-lines.ts";
import { HEADER_BYTES_MAX, REQUEST_ID_BYTES_MAX, TARGET_BYTES_MAX } from "../../src/base/limits.ts";
import { readHead } from "../../src/http/request-head.ts";
import { native } from "../../src/native/native.ts";
import { type Downstream, Exchange } from "../../src/pipeline/exchange.ts";
import { SeenDown, snapshotOf } from "../support/exchange.ts";

type Headers = readonly (readonly [string, string])[];

const snapshot = snapshotOf();
const HOST: Headers = [["host", "gateway:8081"]];

/** Method, target, and name and value of each header, as the addon reads them. */
function request(headers: Headers, url = "/v1/x", query = "", method = "POST"): string[] {
  return [method, query === "" ? url : `${url}?${query}`, ...headers.flat()];
}

function read(list: string[]): { verdict: ErrorRow | null; exchange: Exchange } {
  const down: Downstream = new SeenDown();
  const exchange = new Exchange(snapshot, down, 0, false);
  return { verdict: readHead(list, exchange, (request) => native.readHeadList(request as string[])), exchange };
}

function headersOf({ lines }: Exchange): string[] {
  return headerList(lines);
}

const AMBIGUOUS: [string, Headers][] = [
  ["no host", []],
  ["two hosts", [...HOST, ...HOST]],
  ["a host with a space", [["host", "a b"]]],
  ["a host with a path", [["host", "a/b"]]],
  ["a host with a bad port", [["host", "a:99999999"]]],
  ["two equal lengths", [...HOST, ["content-length", "1"], ["content-length", "1"]]],
  ["two lengths", [...HOST, ["content-length", "1"], ["content-length", "2"]]],
  ["an empty length", [...HOST, ["content-length", ""]]],
  ["a signed length", [...HOST, ["content-length", "+1"]]],
  ["a hexadecimal length", [...HOST, ["content-length", "0x1"]]],
  ["a list of lengths", [...HOST, ["content-length", "1, 1"]]],
  ["a length over 15 digits", [...HOST, ["content-length", "1".repeat(16)]]],
  ["a length and chunks", [...HOST, ["content-length", "1"], ["transfer-encoding", "chunked"]]],
  ["chunks twice", [...HOST, ["transfer-encoding", "chunked"], ["transfer-encoding", "chunked"]]],
  ["another encoding", [...HOST, ["transfer-encoding", "gzip, chunked"]]],
  ["an encoding that is almost chunked", [...HOST, ["transfer-encoding", "chunked\x0b"]]],
  ["an empty name", [...HOST, ["", "x"]]],
];

for (const [what, headers] of AMBIGUOUS) {
  test(`ambiguous: ${what}`, () => strictEqual(read(request(headers)).verdict, ERRORS.badFraming));
}

for (const [url, query, method] of [
  ["/v1/\x7f", "", "POST"],
  ["/v1/\u00e9", "", "POST"],
  ["/v1/x", "a=\u00e9", "POST"],
  ["/v1/x", "a b", "POST"],
  ["/v1/x", "", "BREW"],
  ["/v1/x", "", "post"],
  ["/v1/x", "", "OTHER"],
  ["/v1/x", "", "CONNECT"],
] as const) {
  test(`not a request line of ours: ${method} ${JSON.stringify(url)} ${query}`, () =>
    strictEqual(read(request(HOST, url, query, method)).verdict, ERRORS.badFraming));
}

for (const host of ["h", "h:", "h:80", "127.0.0.1:1", "[::1]", "[::1]:8081", "a_b.example"]) {
  test(`the host ${host}`, () => strictEqual(read(request([["host", host]])).verdict, null));
}

test("the limits of target and headers", () => {
  const [path, long] = ["/v1/".padEnd(TARGET_BYTES_MAX, "x"), "x".repeat(HEADER_BYTES_MAX)];
  strictEqual(read(request(HOST, path)).verdict, null);
  strictEqual(read(request(HOST, path, "q")).verdict, ERRORS.targetTooLong);
  strictEqual(read(request([...HOST, ["x-a", long]])).verdict, ERRORS.headersTooLarge);
});

const KEYS: [string, Headers, string][] = [
  ["none", [], ""],
  ["bearer", [["authorization", "Bearer  k1 "]], "k1"],
  ["bearer in other case", [["authorization", "BEARER k1"]], "k1"],
  ["another scheme", [["authorization", "Basic k1"]], ""],
  ["api-key", [["api-key", "k1"]], "k1"],
  [
    "x-api-key beside another scheme",
    [
      ["authorization", "Basic x"],
      ["x-api-key", "k1"],
    ],
    "k1",
  ],
  [
    "bearer before the others",
    [
      ["x-api-key", "k2"],
      ["authorization", "Bearer k1"],
    ],
    "k1",
  ],
];

for (const [what, headers, keyText] of KEYS) {
  test(`the key: ${what}; it does not go on`, () => {
    const { exchange } = read(request([...HOST, ...headers]));
    deepStrictEqual([exchange.keyText, headersOf(exchange)], [keyText, []]);
  });
}

const FORWARDED: [string, Headers, string[]][] = [
  [
    "in their order, with repetitions",
    [
      ["x-a", "1"],
      ["x-b", ""],
      ["x-a", "2"],
    ],
    ["x-a", "1", "x-b", "", "x-a", "2"],
  ],
  ["UTF-8 as its bytes", [["x-a", "\u00e9"]], ["x-a", "\xc3\xa9"]],
  [
    "not what Connection names",
    [
      ["x-a", "1"],
      ["connection", "X-A, close"],
      ["x-b", "2"],
    ],
    ["x-b", "2"],
  ],
  [
    "not hop by hop",
    [
      ["te", "x"],
      ["upgrade", "x"],
      ["keep-alive", "x"],
      ["expect", "100-continue"],
    ],
    [],
  ],
  [
    "not where the client is",
    [
      ["x-forwarded-for", "1.2.3.4"],
      ["x-real-ip", "1.2.3.4"],
      ["forwarded", "x"],
    ],
    [],
  ],
];

for (const [what, headers, expected] of FORWARDED) {
  test(`headers go on: ${what}`, () => {
    const { verdict, exchange } = read(request([...HOST, ...headers]));
    deepStrictEqual([verdict, headersOf(exchange)], [null, expected]);
  });
}

const INVALID: Headers = [
  ["x-a", "a\0b"],
  ["x-a", "a\x1fb"],
  ["x-a", "a\x7fb\u00e9"],
  ["x-a", "a\ufffdb"],
  ["accept-encoding", "a\x01"],
];

for (const header of INVALID) {
  test(`a value that HTTP does not allow: ${JSON.stringify(header)}`, () =>
    strictEqual(read(request([...HOST, header])).verdict, ERRORS.invalidHeader));
}

test("two content types: the provider might read the body by the other one", () => {
  const headers: Headers = [...HOST, ["content-type", "application/json"], ["content-type", "text/plain"]];
  strictEqual(read(request(headers)).verdict, ERRORS.invalidHeader);
});

test("the content type is compared in lower case, and its parameters stay", () => {
  const { exchange } = read(request([...HOST, ["content-type", "Multipart/Form-Data; boundary=aB"]]));
  deepStrictEqual(
    [exchange.contentType, headersOf(exchange)[1]],
    ["multipart/form-data; boundary=aB", "Multipart/Form-Data; boundary=aB"],
  );
});

const FRAMINGS: [string, Headers, number, boolean][] = [
  ["no body", [], 0, false],
  ["a length", [["content-length", "12"]], 12, false],
  ["a length of 0", [["content-length", "0"]], 0, false],
  ["chunks, whose connection ends with the answer", [["transfer-encoding", "Chunked"]], -1, true],
  ["Connection: close", [["connection", "Close"]], 0, true],
  ["Connection: keep-alive", [["connection", "Keep-Alive"]], 0, false],
];

for (const [what, headers, length, closing] of FRAMINGS) {
  test(`framing: ${what}`, () => {
    const { verdict, exchange } = read(request([...HOST, ...headers]));
    deepStrictEqual([verdict, exchange.contentLength, exchange.closing], [null, length, closing]);
  });
}

test("a request id is kept when it is printable and short, else made", () => {
  const idOf = (value: string) => read(request([...HOST, ["x-request-id", value]])).exchange.requestId;
  for (const id of ["abc-123", "x".repeat(REQUEST_ID_BYTES_MAX)]) strictEqual(idOf(id), id);
  for (const id of ["", "a b", "\u00e9", "x".repeat(REQUEST_ID_BYTES_MAX + 1)]) match(idOf(id), /^req_\w+$/);
});

test("one request's head leaves nothing in the next", () => {
  read(
    request([
      ["connection", "x-a"],
      ["content-length", "x"],
      ["", ""],
    ]),
  );
  deepStrictEqual(headersOf(read(request([...HOST, ["x-a", "1"]])).exchange), ["x-a", "1"]);
});
