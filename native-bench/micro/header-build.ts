/**
 * What the head of an answer costs: one string for one call into uWebSockets.js (pipeline/response-head.ts), against one
 * pair of strings per header, which is one call each there.
 */
import { responseHead } from "../../src/pipeline/response-head.ts";
import type { ResponseHeaders } from "../../src/upstream/transport.ts";
import { compare } from "./contest.ts";
import { idleExchange } from "./idle-exchange.ts";

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

const exchange = idleExchange([]);
exchange.requestId = "req_0123456789abcdef012345671";

/** Checked by pattern, and kept apart: what a call per header needs before its calls. */
function pairs(headers: ResponseHeaders): [string, string][] {
  const entries = Object.entries(headers).filter(([name]) => !DROPPED.has(name));
  const flat = entries.flatMap(([name, value]) => [value ?? []].flat().map((one): [string, string] => [name, one]));
  return flat.filter(([, value]) => !LINE_BREAK.test(value));
}

compare("head of 15 headers", "a pair per header", {
  responseHead: () => responseHead(exchange, OK, HEADERS),
  "a pair per header": () => pairs(HEADERS),
  "node:http Headers": () => new Headers(pairs(HEADERS)),
});
