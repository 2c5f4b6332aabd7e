/** The upstream request: the client's bytes but for the spliced ones, the provider's path, and whose headers win. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { headerList } from "../../src/base/header-lines.ts";
import type { Target } from "../../src/config/snapshot.ts";
import { classify } from "../../src/pipeline/endpoint.ts";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import { upstreamRequest } from "../../src/pipeline/forward.ts";
import { readBody } from "../../src/pipeline/read-body.ts";
import { route } from "../../src/pipeline/route.ts";
import { unsplice } from "../../src/pipeline/splice.ts";
import type { UpstreamRequest } from "../../src/upstream/transport.ts";
import { type ExchangeForm, exchangeOf, snapshotOf } from "../support/exchange.ts";
import { modelOf } from "../support/request-path.ts";

function forwarded(form: ExchangeForm): { request: UpstreamRequest; exchange: Exchange; text: string } {
  const exchange = exchangeOf(form);
  strictEqual(classify(exchange) ?? readBody(exchange) ?? route(exchange), null);
  if (exchange.target === null) throw new Error("it has no target");
  const request = upstreamRequest(exchange, exchange.target);
  return { request, exchange, text: Buffer.from(request.body ?? "").toString() };
}

function compiledTo(model: string): Target {
  const target = snapshotOf({ models: { any: modelOf("main", model) } }).routes.get("any")?.target;
  if (target === undefined) throw new Error("it has no target");
  return target;
}

const USAGE = '"include_usage":true';

/** Body as sent, and as the provider gets it; "" where it is the same. */
const BODIES: [string, string][] = [
  ['{"model":"other","n":1.0, "big":12345678901234567890}', ""],
  ['{"model":"allowed"}', '{"model":"upstream-allowed"}'],
  [' { "a":"é" , "model" : "\\u0061llowed" } ', ' { "a":"é" , "model" : "upstream-allowed" } '],
  ['{"model":"other","stream":true}', `{"stream_options":{${USAGE}},"model":"other","stream":true}`],
  ['{"model":"allowed","stream":true}', `{"stream_options":{${USAGE}},"model":"upstream-allowed","stream":true}`],
  [
    '{"stream":true,"stream_options":null,"model":"allowed"}',
    `{"stream":true,"stream_options":{${USAGE}},"model":"upstream-allowed"}`,
  ],
  [
    '{"model":"allowed","stream":true,"stream_options":{ }}',
    `{"model":"upstream-allowed","stream":true,"stream_options":{${USAGE} }}`,
  ],
  [
    '{"stream_options":{"x":1},"model":"allowed","stream":true}',
    `{"stream_options":{${USAGE},"x":1},"model":"upstream-allowed","stream":true}`,
  ],
  [
    '{"model":"allowed","stream_options":{"include_usage":false},"stream":true}',
    `{"model":"upstream-allowed","stream_options":{${USAGE}},"stream":true}`,
  ],
  [`{"model":"other","stream":true,"stream_options":{${USAGE}}}`, ""],
  ['{"model":"other","stream":false,"stream_options":{"include_usage":false}}', ""],
];

for (const [sent] of BODIES) {
  test(`${sent} is what it was again, and right for another target`, () => {
    const exchange = exchangeOf({ body: sent });
    strictEqual(classify(exchange) ?? readBody(exchange) ?? route(exchange), null);
    const [first, other] = [exchange.target, compiledTo("a-name-that-is-much-longer-than-the-first")];
    if (first === null) throw new Error("it has no target");
    exchange.splices = [];
    upstreamRequest(exchange, first);
    unsplice(exchange);
    strictEqual(exchange.bodyView()?.toString(), sent);
    strictEqual(readBody(exchange), null);
    const { body } = upstreamRequest(exchange, other);
    const untouched = exchangeOf({ body: sent });
    strictEqual(classify(untouched) ?? readBody(untouched), null);
    strictEqual(
      Buffer.from(body ?? "").toString(),
      Buffer.from(upstreamRequest(untouched, other).body ?? "").toString(),
    );
    strictEqual(JSON.parse(String(body)).model, "a-name-that-is-much-longer-than-the-first");
  });
}

for (const [sent, expected] of BODIES) {
  test(`the body ${sent}`, () => {
    const { text, exchange } = forwarded({ body: sent });
    strictEqual(text, expected === "" ? sent : expected);
    strictEqual(exchange.usageAdded, text.includes(USAGE) && !sent.includes(USAGE));
  });
}

test("a provider without the usage option gets no option", () => {
  const body = '{"model":"other","stream":true}';
  strictEqual(forwarded({ body, snapshot: snapshotOf({}, { usageOption: false }) }).text, body);
});

test("calls without the usage option get none", () => {
  const body = '{"model":"other","stream":true}';
  strictEqual(forwarded({ body, path: "/v1/responses" }).text, body);
});

test("a form's model is replaced bare, and the form's other bytes stay", () => {
  const form = (model: string) =>
    `--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n${model}\r\n--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n\0\r\n--b--\r\n`;
  const contentType = "multipart/form-data; boundary=b";
  const { text } = forwarded({ path: "/v1/audio/transcriptions", contentType, body: form("allowed") });
  strictEqual(text, form("upstream-allowed"));
});

test("the model of a scan before is not spliced into a body that names none", () => {
  forwarded({ body: '{"model":"allowed"}' });
  const { text } = forwarded({ path: "/v1/files", contentType: "text/plain", body: "x".repeat(60) });
  strictEqual(text, "x".repeat(60));
});

const PATHS: [string, string, string, string][] = [
  ["http://h/v1", "", "", "/v1/files"],
  ["http://h", "", "a=1", "/files?a=1"],
  ["http://h/x/v1/", "", "", "/x/v1/files"],
  ["http://h/v1?api-version=1", "", "a=1", "/v1/files?api-version=1&a=1"],
  ["http://h/v1?api-version=1", "b=2", "", "/v1/files?api-version=1&b=2"],
];

for (const [baseUrl, providerQuery, query, expected] of PATHS) {
  test(`the path behind ${baseUrl} with ${JSON.stringify(query)}`, () => {
    const snapshot = snapshotOf({}, { baseUrl, query: providerQuery });
    strictEqual(forwarded({ method: "GET", path: "/v1/files", query, snapshot }).request.path, expected);
  });
}

test("the provider's headers win, and ours follow the client's", () => {
  const snapshot = snapshotOf({}, { headers: ["openai-project", "ours"] });
  const headers = ["openai-project", "theirs", "x-a", "1", "x-a", "2"];
  const { request } = forwarded({ body: '{"model":"other"}', headers, snapshot });
  deepStrictEqual(headerList(request.lines).slice(2), [
    ...["openai-project", "ours", "x-a", "1", "x-a", "2"],
    ...["accept-encoding", "identity", "x-request-id", "req_test"],
  ]);
});
