/** The head of a request as the addon reads it out of memory is the one that uWebSockets.js itself hands out. */

import { App } from "uWebSockets.js";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { headerList } from "../../src/base/header-lines.ts";
import { readHead } from "../../src/http/request-head.ts";
import { native } from "../../src/native/native.ts";
import { Exchange } from "../../src/pipeline/exchange.ts";
import { SeenDown, snapshotOf } from "../support/exchange.ts";
import { RawClient } from "../support/raw-client.ts";
import { listen } from "../support/uws-port.ts";

const snapshot = snapshotOf();
const FORWARDED = Array.from({ length: 60 }, (_, i): [string, string] => [`x-${i}`, "v".repeat(i)]);

interface Seen {
  readonly exchange: Exchange;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: string[];
  readonly beyondItsHandler: () => string;
}

let seen: Seen | null = null;
const app = App().any("/*", (response, request) => {
  const exchange = new Exchange(snapshot, new SeenDown(), 0, false);
  readHead(request, exchange);
  const headers: string[] = [];
  request.forEach((name, value) => {
    headers.push(name, value);
  });
  const [method, path, query] = [request.getCaseSensitiveMethod(), request.getUrl(), request.getQuery()];
  seen = { exchange, method, path, query, headers, beyondItsHandler: () => native.readHead(request) };
  response.end();
});
const port = await listen(app);

async function headOf(target: string, headers: readonly (readonly [string, string])[]): Promise<Seen> {
  const client = await RawClient.connect(port);
  const lines = [["host", "h"], ...headers].map(([name, value]) => `${name}: ${value}\r\n`).join("");
  seen = null;
  await client.ask(Buffer.from(`GET ${target} HTTP/1.1\r\n${lines}\r\n`, "latin1"));
  client.leave();
  ok(seen !== null);
  return seen;
}

test("the package is one whose memory is known", () => ok(native.isKnownUws()));

for (const [target, headers] of [
  ["/v1/models", []],
  ["/v1/x?a=1&b=%20?c", [["X-A", "1"]]],
  ["/v1/x?", FORWARDED],
  [`/${"p".repeat(3_000)}`, FORWARDED.slice(0, 1)],
] as const) {
  test(`${target.slice(0, 20)} with ${headers.length} headers`, async () => {
    const { exchange, method, path, query, headers: theirs } = await headOf(target, headers);
    deepStrictEqual([exchange.method, exchange.path, exchange.query], [method, path, query ?? ""]);
    deepStrictEqual(["host", "h", ...headerList(exchange.lines)], theirs);
    strictEqual(theirs.length, 2 + 2 * headers.length);
  });
}

test("a request beyond its handler is refused", async () => {
  const { beyondItsHandler } = await headOf("/v1/models", []);
  const attempt = () => {
    try {
      return beyondItsHandler();
    } catch (error) {
      return error instanceof TypeError ? "refused" : String(error);
    }
  };
  strictEqual(attempt(), "refused");
});
