/** Providers as they are set up: https with a private authority, base paths, queries, headers, stale connections. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { CREDENTIAL, mockProvider } from "../support/config.ts";
import { ask, chat } from "../support/http-client.ts";
import { startStage } from "../support/stage.ts";
import { until } from "../support/until.ts";
import { headerValues, TEST_CA_FILE } from "../support/upstream.ts";

const { sluice, upstream } = await startStage((mock) => {
  const origin = new URL(mock.url).origin;
  return {
    providers: {
      mock: mockProvider(mock.url),
      secure: { ...mockProvider(mock.tlsUrl), tls: { ca_file: TEST_CA_FILE } },
      azure: {
        ...mockProvider(`${origin}/openai/deployments/{model}`),
        auth: "api-key",
        query: { "api-version": "2024-10-21" },
      },
      extra: { base_url: `${origin}/api/v1`, headers: { "HTTP-Referer": "https://example.test", "x-title": "Sluice" } },
    },
    models: {
      "gpt-4o": { provider: "mock", model: "m" },
      secure: { provider: "secure", model: "m" },
      azure: { provider: "azure", model: "my deployment" },
      extra: { provider: "extra", model: "org/model" },
    },
  };
});

function askModel(model: string): Promise<{ status: number; text: string; requestId: string }> {
  return ask(sluice, "/chat/completions?x=1", { body: { model, messages: [] } });
}

test("an https provider with a private authority is reached", async () => {
  const answer = await askModel("secure");
  strictEqual(answer.status, 200, answer.text);
});

test("an Azure-style deployment gets its path, query and api-key", async () => {
  await askModel("azure");
  const seen = await upstream.lastRequest();
  strictEqual(seen.target, "/openai/deployments/my%20deployment/chat/completions?api-version=2024-10-21&x=1");
  deepStrictEqual(headerValues(seen, "api-key"), [CREDENTIAL]);
  deepStrictEqual(headerValues(seen, "authorization"), []);
});

test("a provider without a credential gets none, but its fixed headers", async () => {
  await askModel("extra");
  const seen = await upstream.lastRequest();
  strictEqual(seen.target, "/api/v1/chat/completions?x=1");
  deepStrictEqual(headerValues(seen, "authorization"), []);
  deepStrictEqual(headerValues(seen, "http-referer"), ["https://example.test"]);
  deepStrictEqual(headerValues(seen, "x-title"), ["Sluice"]);
});

test("a request that meets a stale connection is sent once more on a new one, and recorded as such", async () => {
  strictEqual((await chat(sluice, "stale")).status, 200);
  const answer = await chat(sluice);
  strictEqual(answer.status, 200, answer.text);
  const row = await sluice.recordOf(answer.requestId);
  deepStrictEqual([row.replayed, row.status], [1, 200]);
  strictEqual(await sluice.metric("sluice_upstream_stale_replays_total"), 1);
});

test("bytes after an answer are not taken for the next one", async () => {
  strictEqual((await chat(sluice, "extra-bytes")).status, 200);
  // Bytes that come when the next request is on its way already cannot be told from its answer.
  const connections = () => sluice.metric("sluice_upstream_connections");
  await until("they cost the connection", async () => (await connections()) === 0);
  const next = await chat(sluice);
  strictEqual(next.status, 200, next.text);
  strictEqual(next.text.includes("chatcmpl-1"), true);
});
