/** The request head against patterns and plain loops: the same heads are refused, and the same is taken of the others. */
import { deepStrictEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import type { ErrorRow } from "../../src/base/errors.ts";
import { headerList } from "../../src/base/header-lines.ts";
import { readHead } from "../../src/http/request-head.ts";
import { native } from "../../src/native/native.ts";
import { Exchange } from "../../src/pipeline/exchange.ts";
import { METHODS } from "../../src/telemetry/record.ts";
import { SeenDown, snapshotOf } from "../support/exchange.ts";
import { type Head, type Header, NAMES, type Taken, takenOf, verdictOf } from "./head-oracle.ts";
import type { Random } from "./random.ts";
import { fuzz } from "./trials.ts";

const TRIALS = 20_000;
const snapshot = snapshotOf();

const PIECES = [
  ...'a Z 0 9 , ; : = - _ . / [ ] % ( " \\ ~ !'.split(" "),
  ..." \t\0\x01\x1f\x7f\r\n".split(""),
  ...["\u00a0", "\u00e9", "\u20ac", "\ufffd", "\ud83d\ude00", "bearer ", "close", "chunked", "keep-alive", "x-a"],
];
const VALUES: Readonly<Record<string, readonly string[]>> = {
  host: ["h", "h:80", "127.0.0.1:8081", "[::1]", "[::1]:1", "[]", "[::1", "h:123456", "", "a b", "::1", "[::g]"],
  "content-length": ["0", "1", "17", "999999999999999", "1000000000000000", "", "-1", "1 ", "0x1", "1,1"],
  "transfer-encoding": ["chunked", "Chunked", "CHUNKED", "gzip", "chunked,", " chunked", ""],
  connection: ["close", "Close", "keep-alive", "Keep-Alive", "x-a", "X-A, close", "x-a,x-b", "", ",", "keep-alive, te"],
  authorization: ["Bearer k1", "bearer  k2 ", "BEARER", "Bearer ", "Basic x", "bearer\tk3", "Bearer \u00e9"],
  "content-type": ["application/json", "application/json; charset=utf-8", "Application/JSON", "Text/Plain; B=C", ""],
  "x-request-id": ["abc", "", "a b", "\u00e9", "i".repeat(63), "i".repeat(64)],
};

function text(random: Random): string {
  return random.several(6, () => random.pick(PIECES)).join("");
}

function header(random: Random): Header {
  const name = random.chance(0.6) ? random.pick(NAMES) : random.pick(["x-a", "x-b", "accept", "x-", text(random)]);
  const usual = VALUES[name];
  return [name, usual !== undefined && random.chance(0.8) ? random.pick(usual) : text(random)];
}

/** Most of them nearly right: a head that is wrong in many ways tells nothing of each. */
function head(random: Random): Head {
  const path = random.pick(["/v1/chat/completions", "/v1/models", "/v1/x", "/", "*", `/v1/${text(random)}`]);
  const query = random.pick(["", "", "?", "?a=1", "??b", `?${text(random)}`]);
  const headers: Header[] = random.several(5, () => header(random));
  if (random.chance(0.9)) headers.splice(random.below(headers.length + 1), 0, ["host", "h"]);
  if (random.chance(0.05)) headers.push(["x-long", "v".repeat(random.below(40_000))]);
  const long = random.chance(0.02) ? "p".repeat(random.below(20_000)) : "";
  return { method: random.pick([...METHODS, "POST", "POST", "post", ""]), target: path + long + query, headers };
}

function read({ method, target, headers }: Head): { verdict: ErrorRow | null; exchange: Exchange } {
  const exchange = new Exchange(snapshot, new SeenDown(), 0, false);
  const list = [method, target, ...headers.flat()];
  return { verdict: readHead(list, exchange, () => native.readHeadList(list)), exchange };
}

function taken(exchange: Exchange, given: Taken): Taken {
  const { path, query, contentLength, closing, clientCloses, keyText, contentType, acceptEncoding } = exchange;
  const requestId = given.requestId === null && /^req_\w+$/.test(exchange.requestId) ? null : exchange.requestId;
  const forwarded = headerList(exchange.lines);
  const own = headerList(exchange.ownLines);
  return {
    path,
    query,
    contentLength,
    closing,
    clientCloses,
    keyText,
    requestId,
    contentType,
    acceptEncoding,
    own,
    forwarded,
  };
}

test("heads are refused and taken as the patterns say", () => {
  let accepted = 0;
  fuzz(TRIALS, (random) => {
    const one = head(random);
    const { verdict, exchange } = read(one);
    deepStrictEqual(verdict?.code ?? null, verdictOf(one)?.code ?? null, JSON.stringify(one).slice(0, 2_000));
    if (verdict !== null) return;
    accepted += 1;
    const expected = takenOf(one);
    deepStrictEqual(taken(exchange, expected), expected, JSON.stringify(one).slice(0, 2_000));
  });
  ok(accepted > TRIALS / 20 || process.env["SLUICE_FUZZ_SEED"] !== undefined, `${accepted} were accepted`);
});
