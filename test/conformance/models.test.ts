/** The official SDK against the real program: the model list comes from the configuration. */
import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { collect } from "../support/collect.ts";
import { sdkOf, startStage } from "../support/stage.ts";

const { sluice, upstream } = await startStage();
const sdk = sdkOf(sluice);

test("the configured models are listed", async () => {
  const models = await collect(sdk.models.list());
  deepStrictEqual(models.map((model) => model.id).sort(), [
    "gpt-4o",
    "gpt-4o-mini",
    "omni-moderation-latest",
    "text-embedding-3-small",
    "tts-1",
    "whisper-1",
  ]);
  strictEqual(models[0]?.object, "model");
  strictEqual((await upstream.journal()).requestsTotal, 0);
});

test("one model is retrieved", async () => {
  const model = await sdk.models.retrieve("gpt-4o");
  strictEqual(model.id, "gpt-4o");
  strictEqual(Number.isInteger(model.created), true);
});

test("a model that is not configured is not found", async () => {
  await rejects(sdk.models.retrieve("gpt-nine"), OpenAI.NotFoundError);
});
