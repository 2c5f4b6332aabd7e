/** The admin server over HTTP. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { openAdmin, type Readiness } from "../../src/control/admin.ts";
import type { Answer } from "../../src/telemetry/latency/rotation.ts";
import type { Form, Query } from "../../src/telemetry/latency/selection.ts";

let readiness: Readiness = { ready: true, reason: "2 workers serve" };
let metrics = () => Promise.resolve("sluice_info 1\n");

let histograms = (form: Form, query: Query): Answer => ({ status: 200, text: `${form} ${JSON.stringify(query)}` });

const admin = await openAdmin("127.0.0.1", 0, {
  version: "1.2.3",
  readiness: () => readiness,
  metrics: () => metrics(),
  metricsType: () => "text/plain; version=0.0.4; charset=utf-8",
  histograms: async (form, query) => histograms(form, query),
});
after(() => admin.close());

async function get(path: string, method = "GET") {
  const response = await fetch(admin.url + path, { method });
  return { status: response.status, type: response.headers.get("content-type"), text: await response.text() };
}

test("it is live whatever the workers do", async () => {
  readiness = { ready: false, reason: "stopping" };
  assert.deepEqual(JSON.parse((await get("/health/live")).text), { status: "live" });
});

test("readiness is 200 or 503 with its reason", async () => {
  readiness = { ready: true, reason: "2 workers serve" };
  const ready = await get("/health/ready");
  assert.equal(ready.status, 200);
  readiness = { ready: false, reason: "starting" };
  const starting = await get("/health/ready");
  assert.equal(starting.status, 503);
  assert.deepEqual(JSON.parse(starting.text), { status: "not ready", reason: "starting" });
});

test("metrics come as their source renders them", async () => {
  const answer = await get("/metrics");
  assert.equal(answer.text, "sluice_info 1\n");
  assert.match(answer.type ?? "", /^text\/plain; version=0\.0\.4/);
});

test("a source that fails is a JSON error without its details", async () => {
  metrics = () => Promise.reject(new Error("a secret detail"));
  const answer = await get("/metrics");
  assert.equal(answer.status, 500);
  assert.equal(JSON.parse(answer.text).error.message, "The admin server failed.");
});

const FORMS: [string, string, string][] = [
  ["/histograms?route=gpt&metric=ttft", 'json {"route":"gpt","metric":"ttft"}', "application/json; charset=utf-8"],
  ["/histograms.hgrm?metric=ttft", 'hgrm {"metric":"ttft"}', "text/plain; charset=utf-8"],
  ["/histograms.v2", "v2 {}", "text/plain; charset=utf-8"],
];

for (const [path, text, type] of FORMS) {
  test(`${path} has the source's text`, async () => assert.deepEqual(await get(path), { status: 200, type, text }));
}

test("a query that the histograms' source refuses is a JSON error", async () => {
  histograms = () => ({ status: 400, message: "no such metric" });
  const answer = await get("/histograms?metric=x");
  assert.equal(answer.status, 400);
  assert.deepEqual(JSON.parse(answer.text), { error: { code: "bad_query", message: "no such metric" } });
});

test("the version is told", async () => {
  assert.deepEqual(JSON.parse((await get("/version")).text), { name: "sluice", version: "1.2.3" });
});

test("an unknown path is told what there is, and a client of the wrong port where to go", async () => {
  const unknown = await get("/nothing");
  assert.equal(unknown.status, 404);
  assert.match(JSON.parse(unknown.text).error.message, /\/health\/ready/);
  const wrongPort = await get("/v1/chat/completions", "POST");
  assert.equal(wrongPort.status, 404);
  assert.match(JSON.parse(wrongPort.text).error.message, /proxy port/);
});

test("it closes with connections open", async () => {
  const other = await openAdmin("127.0.0.1", 0, {
    version: "1",
    readiness: () => readiness,
    metrics: () => new Promise(() => {}),
    metricsType: () => "text/plain",
    histograms: async () => ({ status: 200, text: "" }),
  });
  const hanging = fetch(`${other.url}/metrics`).catch((error: Error) => error);
  await fetch(`${other.url}/health/live`);
  await other.close();
  assert.ok((await hanging) instanceof Error);
});
