/**
 * What parsing a provider's response costs: the parser of the native transport (native/upstream/response-parser.cc), with the lines
 * for the client made, and the one of node:http with callbacks that do nothing.
 */
import { DROPPED, HEAD_BYTES_MAX } from "../../test/fuzz/http-reading.ts";
import { idleLlhttp } from "../../test/fuzz/llhttp-reader.ts";
import { parserAddon } from "../../test/support/parser-addon.ts";
import { compare } from "./contest.ts";

const ROUNDS = 100;
const CHUNKS = 100;

/** As OpenAI's API answers, through its front. */
const HEAD = [
  "HTTP/1.1 200 OK",
  "Date: Fri, 21 Nov 2025 07:55:00 GMT",
  "Content-Type: application/json",
  "Content-Length: 11",
  "Connection: keep-alive",
  "access-control-expose-headers: X-Request-ID",
  "openai-organization: org-abcdefghijklmnop",
  "openai-processing-ms: 512",
  "openai-project: proj_abcdefghijklmnopqrstuvwx",
  "openai-version: 2020-10-01",
  "x-envoy-upstream-service-time: 520",
  "x-ratelimit-limit-requests: 30000",
  "x-ratelimit-limit-tokens: 150000000",
  "x-ratelimit-remaining-requests: 29999",
  "x-ratelimit-remaining-tokens: 149999987",
  "x-ratelimit-reset-requests: 2ms",
  "x-ratelimit-reset-tokens: 0s",
  "x-request-id: req_0123456789abcdef0123456789abcdef",
  "cf-cache-status: DYNAMIC",
  "Server: cloudflare",
  "CF-RAY: 9a1b2c3d4e5f6789-FRA",
  "X-Content-Type-Options: nosniff",
  "",
  "",
].join("\r\n");
const answer = Buffer.from(`${HEAD}hello world`);
const EVENT = 'data: {"choices":[{"index":0,"delta":{"content":" token"}}]}\n\n';
const chunk = `${EVENT.length.toString(16)}\r\n${EVENT}\r\n`;
const stream = Buffer.from(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(CHUNKS)}0\r\n\r\n`);

const addon = await parserAddon();
const parser = addon.open(DROPPED, HEAD_BYTES_MAX);
const llhttp = idleLlhttp();

function contestants(response: Buffer, of: number): Parameters<typeof compare>[2] {
  return {
    ours: { call: () => addon.time(parser, response, ROUNDS), units: ROUNDS * of },
    "node:http's": { call: () => llhttp(response), units: of },
  };
}

compare(
  `an answer, ${HEAD.split("\r\n").length - 3} headers and ${answer.length} bytes`,
  "node:http's",
  contestants(answer, 1),
);
compare(`a chunk of a stream, ${CHUNKS} in one read`, "node:http's", contestants(stream, CHUNKS));
