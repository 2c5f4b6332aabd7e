/** The official SDK against the real program: embeddings, which the SDK asks for in base64. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { EMBEDDING, EMBEDDING_USAGE } from "../support/mock/answers.ts";
import { sdkOf, startStage } from "../support/stage.ts";
import { bodyText } from "../support/upstream.ts";

const { sluice, upstream } = await startStage();
const sdk = sdkOf(sluice);
const ask = { model: "text-embedding-3-small", input: ["one", "two"] };

test("an embedding arrives in base64 and is decoded by the SDK", async () => {
  const answer = await sdk.embeddings.create(ask);
  deepStrictEqual(answer.data[0]?.embedding, [...EMBEDDING]);
  deepStrictEqual(answer.usage, EMBEDDING_USAGE);
  strictEqual(bodyText(await upstream.lastRequest()).includes('"encoding_format":"base64"'), true);
});

test("an embedding arrives as numbers", async () => {
  const answer = await sdk.embeddings.create({ ...ask, encoding_format: "float" });
  deepStrictEqual(answer.data[0]?.embedding, [...EMBEDDING]);
});

test("moderations are answered", async () => {
  const answer = await sdk.moderations.create({ model: "omni-moderation-latest", input: "hm" });
  strictEqual(answer.results[0]?.flagged, true);
});

test("moderations without a model, which the API allows, go to the passthrough provider", async () => {
  const answer = await sdk.moderations.create({ input: "hm" });
  strictEqual(answer.results[0]?.flagged, true);
});
