/** Which headers pass in both directions, and which never do. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { CREDENTIAL } from "../support/config.ts";
import { ask, chat } from "../support/http-client.ts";
import { RawClient } from "../support/raw-client.ts";
import { requestBytes } from "../support/raw-request.ts";
import { headerOf, type RawResponse } from "../support/raw-response.ts";
import { startStage } from "../support/stage.ts";
import { headerValues } from "../support/upstream.ts";

const { sluice, upstream } = await startStage();

async function send(headers: Record<string, string>): Promise<RawResponse> {
  const client = await RawClient.connect(sluice.port);
  const response = await client.ask(requestBytes({ headers }));
  client.leave();
  return response;
}

const PASSED = {
  traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  tracestate: "vendor=1",
  "openai-organization": "org-1",
  "openai-project": "proj-1",
  "openai-beta": "assistants=v2",
  "x-stainless-os": "Linux",
  "idempotency-key": "idem-1",
  "user-agent": "tester/1.0",
  accept: "text/event-stream",
  "x-custom": "kept as it is",
};

test("headers that the provider should see pass unchanged", async () => {
  strictEqual((await send(PASSED)).status, 200);
  const seen = await upstream.lastRequest();
  for (const [name, value] of Object.entries(PASSED)) deepStrictEqual(headerValues(seen, name), [value], name);
});

const DROPPED = {
  connection: "keep-alive, x-private",
  "x-private": "1",
  "keep-alive": "timeout=5",
  te: "trailers",
  trailer: "x-sum",
  upgrade: "h2c",
  "proxy-authorization": "Basic eA==",
  "proxy-connection": "keep-alive",
  "api-key": "sk-of-the-client",
  "x-api-key": "sk-of-the-client",
  cookie: "session=1",
};

test("hop-by-hop and credential headers of the client do not reach the provider", async () => {
  strictEqual((await send(DROPPED)).status, 200);
  const seen = await upstream.lastRequest();
  for (const [name, value] of Object.entries(DROPPED)) {
    strictEqual(headerValues(seen, name).includes(value), false, name);
  }
});

test("the provider sees its own host, its credential and one exact length", async () => {
  await send({});
  const seen = await upstream.lastRequest();
  deepStrictEqual(headerValues(seen, "host"), [new URL(upstream.url).host]);
  deepStrictEqual(headerValues(seen, "authorization"), [`Bearer ${CREDENTIAL}`]);
  deepStrictEqual(headerValues(seen, "content-length"), [String(seen.bodyBytes)]);
  deepStrictEqual(headerValues(seen, "transfer-encoding"), []);
});

test("the provider's headers reach the client", async () => {
  const response = await send({ "x-mock": "openai-headers" });
  strictEqual(headerOf(response, "openai-organization"), "org-1");
  strictEqual(headerOf(response, "openai-processing-ms"), "12");
  strictEqual(headerOf(response, "x-ratelimit-remaining-tokens"), "149");
});

test("the provider's hop-by-hop headers do not", async () => {
  const response = await send({ "x-mock": "hop-by-hop" });
  strictEqual(headerOf(response, "x-public"), "1");
  for (const name of ["x-private", "proxy-authenticate", "upgrade"]) strictEqual(headerOf(response, name), "", name);
  strictEqual(headerOf(response, "keep-alive").includes("99"), false);
});

test("cookies of the provider are not set at the client: they would belong to the gateway's host", async () => {
  const response = await send({ "x-mock": "set-cookie" });
  strictEqual(headerOf(response, "set-cookie"), "");
});

test("a request id of the client is kept, one that is not valid is replaced, one is made where there is none", async () => {
  strictEqual(headerOf(await send({ "x-request-id": "abc-123" }), "x-request-id"), "abc-123");
  match(headerOf(await send({ "x-request-id": "a b\u00e9" }), "x-request-id"), /^req_\w+$/);
  match(headerOf(await send({ "x-request-id": "x".repeat(200) }), "x-request-id"), /^req_\w+$/);
  match(headerOf(await send({}), "x-request-id"), /^req_\w+$/);
});

test("there is one request id even when the provider sends its own", async () => {
  const response = await send({ "x-mock": "openai-headers", "x-request-id": "mine" });
  strictEqual(headerOf(response, "x-request-id"), "mine");
});

test("Server-Timing carries the gateway's own time", async () => {
  const response = await send({});
  match(headerOf(response, "server-timing"), /dur=\d+(\.\d+)?/);
});

test("Server-Timing is on the gateway's own answers too", async () => {
  for (const target of ["/v1/models", "/nowhere"]) {
    const client = await RawClient.connect(sluice.port);
    const response = await client.ask(
      requestBytes({ method: "GET", target, headers: { "content-length": "" }, body: "" }),
    );
    match(headerOf(response, "server-timing"), /^auth;dur=\d+\.\d+, /, target);
    client.leave();
  }
});

test("a header value of the provider that could split the response is refused or cleaned, never passed", async () => {
  for (const fault of ["crlf-in-header", "nul-in-header"]) {
    const response = await send({ "x-mock": fault });
    strictEqual(headerOf(response, "set-cookie"), "", fault);
    strictEqual(/[\r\0]/.test(response.head.replaceAll("\r\n", "")), false, fault);
  }
});

test("early hints of the provider are not taken as the answer", async () => {
  strictEqual((await send({ "x-mock": "early-hints" })).status, 200);
});

test("a 100 Continue that nobody asked for means nothing", async () => {
  strictEqual((await send({ "x-mock": "continue" })).status, 200);
});

test("usage is read from the bytes that pass, so the provider is asked not to compress them", async () => {
  await send({ "accept-encoding": "gzip" });
  deepStrictEqual(headerValues(await upstream.lastRequest(), "accept-encoding"), ["identity"]);
  await ask(sluice, "/files/file-1/content", { headers: { "accept-encoding": "gzip" } });
  deepStrictEqual(headerValues(await upstream.lastRequest(), "accept-encoding"), ["gzip"]);
});

test("a provider's header of 32 KB passes; one over the limit is an error, not a crash", async () => {
  strictEqual(headerOf(await send({ "x-mock": "huge-header=32000" }), "x-huge").length, 32_000);
  strictEqual((await send({ "x-mock": "huge-header=200000" })).status, 502);
  strictEqual((await chat(sluice)).status, 200);
});
