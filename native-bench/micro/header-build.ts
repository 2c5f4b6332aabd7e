/**
 * What heads cost. Of an answer: one string for one call into uWebSockets.js (upstream/response-headers.ts), against one pair of
 * strings per header, which is one call each there. Of the request to the provider: the lines that are put together from the
 * client's and the provider's (pipeline/forward.ts), against an object that later headers win in.
 */
import assert from "node:assert/strict";
import { headerList } from "../../src/base/header-lines.ts";
import { classify } from "../../src/pipeline/endpoint.ts";
import { upstreamRequest } from "../../src/pipeline/forward.ts";
import { responseHead } from "../../src/pipeline/response-head.ts";
import { route } from "../../src/pipeline/route.ts";
import { headOf, type ResponseHeaders } from "../../src/upstream/response-headers.ts";
import { exchangeOf, snapshotOf } from "../../test/support/exchange.ts";
import { compare } from "./contest.ts";

const OK = 200;
/** As OpenAI sends them. */
const HEADERS: ResponseHeaders = {
  date: "Tue, 01 Jul 2025 00:00:00 GMT",
  "content-type": "application/json",
  "content-length": "812",
  connection: "keep-alive",
  "access-control-expose-headers": "X-Request-ID",
  "openai-organization": "org-0123456789abcdef",
  "openai-processing-ms": "421",
  "openai-version": "2020-10-01",
  "x-ratelimit-limit-requests": "10000",
  "x-ratelimit-limit-tokens": "2000000",
  "x-ratelimit-remaining-requests": "9999",
  "x-ratelimit-remaining-tokens": "1999876",
  "x-request-id": "req_0123456789abcdef0123456789abcdef",
  "set-cookie": ["__cf_bm=x; path=/; HttpOnly", "_cfuvid=y; path=/; HttpOnly"],
  server: "cloudflare",
};
const LINE_BREAK = /[\r\n\0]/;
const DROPPED = new Set(["date", "content-length", "connection", "set-cookie", "x-request-id"]);

/** As OpenAI's SDK sends them, without those that are the gateway's business. */
const CLIENT = [
  ["content-type", "application/json"],
  ["accept", "application/json"],
  ["user-agent", "OpenAI/JS 7.55.0"],
  ["x-stainless-retry-count", "0"],
  ["x-stainless-lang", "js"],
  ["x-stainless-package-version", "7.55.0"],
  ["x-stainless-os", "Linux"],
  ["x-stainless-arch", "x64"],
  ["x-stainless-runtime", "node"],
  ["x-stainless-runtime-version", "v22.23.3"],
] as const;

const exchange = exchangeOf({ headers: CLIENT.flat(), snapshot: snapshotOf() });
exchange.model = "other";
assert.equal(classify(exchange) ?? route(exchange), null);
const { target } = exchange;
assert.ok(target !== null);

/** Checked by pattern, and kept apart: what a call per header needs before its calls. */
function pairs(headers: ResponseHeaders): [string, string][] {
  const entries = Object.entries(headers).filter(([name]) => !DROPPED.has(name));
  const flat = entries.flatMap(([name, value]) => [value ?? []].flat().map((one): [string, string] => [name, one]));
  return flat.filter(([, value]) => !LINE_BREAK.test(value));
}

/** Names in lower case, the provider's instead of the client's. */
function asObject(): string[] {
  const provider = Object.fromEntries(inPairs(headerList(target?.provider.lines ?? "")));
  const own = { "x-request-id": exchange.requestId, "accept-encoding": "identity" };
  return Object.entries({ ...Object.fromEntries(inPairs(headerList(exchange.lines))), ...provider, ...own }).flat();
}

function inPairs(flat: readonly string[]): [string, string][] {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i]?.toLowerCase() ?? "", flat[2 * i + 1] ?? ""]);
}

assert.deepEqual(headerList(upstreamRequest(exchange, target).lines).toSorted(), asObject().toSorted());
compare(`request of ${CLIENT.length} headers`, "an object", {
  upstreamRequest: () => upstreamRequest(exchange, target),
  "an object": asObject,
});
compare("head of 15 headers", "a pair per header", {
  responseHead: () => responseHead(exchange, headOf(OK, HEADERS)),
  "a pair per header": () => pairs(HEADERS),
  "node:http Headers": () => new Headers(pairs(HEADERS)),
});
