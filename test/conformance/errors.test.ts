/** The official SDK against the real program: failures arrive as the SDK's error classes. */
import { rejects, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { hashOf, KEY } from "../support/config.ts";
import { mocked, sdkOf, startStage } from "../support/stage.ts";

const NARROW_KEY = "sk-sluice-narrow";
const { sluice } = await startStage(() => ({
  keys: [
    { name: "default", hash: hashOf(KEY) },
    { name: "narrow", hash: hashOf(NARROW_KEY), models: ["gpt-4o-mini"] },
  ],
}));
const sdk = sdkOf(sluice);
const messages = [{ role: "user" as const, content: "Say it." }];

type ErrorClass = new (...args: never[]) => InstanceType<typeof OpenAI.APIError>;

/** Fails unless the request is refused with this class and code. */
async function refused(request: Promise<unknown>, kind: ErrorClass, code: string): Promise<void> {
  await rejects(request, (error: unknown) => {
    strictEqual(error instanceof kind, true, String(error));
    strictEqual(error instanceof OpenAI.APIError && error.code, code);
    return true;
  });
}

function chat(client: OpenAI, model: string, fault = ""): Promise<unknown> {
  return client.chat.completions.create({ model, messages }, mocked(fault));
}

test("a wrong key is an AuthenticationError", async () => {
  await refused(chat(sdkOf(sluice, { apiKey: "sk-wrong" }), "gpt-4o"), OpenAI.AuthenticationError, "invalid_api_key");
});

test("a key without the model is a PermissionDeniedError", async () => {
  const narrow = sdkOf(sluice, { apiKey: NARROW_KEY });
  await refused(chat(narrow, "gpt-4o"), OpenAI.PermissionDeniedError, "model_not_allowed");
});

test("an unknown model is a NotFoundError", async () => {
  await refused(chat(sdk, "gpt-nine"), OpenAI.NotFoundError, "model_not_found");
});

test("a wrong type is a BadRequestError", async () => {
  const body = { model: 7 as unknown as string, messages };
  await refused(sdk.chat.completions.create(body), OpenAI.BadRequestError, "invalid_type");
});

test("a missing model is a BadRequestError", async () => {
  const body = { messages } as unknown as { model: string; messages: typeof messages };
  await refused(sdk.chat.completions.create(body), OpenAI.BadRequestError, "model_missing");
});

test("the provider's 429 is a RateLimitError with the provider's own code and headers", async () => {
  await refused(chat(sdk, "gpt-4o", "status=429"), OpenAI.RateLimitError, "mock_429");
});

test("the provider's 500 is an InternalServerError", async () => {
  await refused(chat(sdk, "gpt-4o", "status=500"), OpenAI.InternalServerError, "mock_500");
});

test("the provider's 400, 404, 409 and 422 keep their classes", async () => {
  await refused(chat(sdk, "gpt-4o", "status=400"), OpenAI.BadRequestError, "mock_400");
  await refused(chat(sdk, "gpt-4o", "status=404"), OpenAI.NotFoundError, "mock_404");
  await refused(chat(sdk, "gpt-4o", "status=409"), OpenAI.ConflictError, "mock_409");
  await refused(chat(sdk, "gpt-4o", "status=422"), OpenAI.UnprocessableEntityError, "mock_422");
});

test("a provider that refuses the gateway's credential is the gateway's fault, not the client's", async () => {
  const request = chat(sdk, "gpt-4o", "status-401-leaking");
  await refused(request, OpenAI.InternalServerError, "upstream_auth_failed");
});

test("an unreachable answer is an InternalServerError with a code", async () => {
  await refused(chat(sdk, "gpt-4o", "close-before-head"), OpenAI.InternalServerError, "upstream_reset");
});
