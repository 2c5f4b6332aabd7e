/** The official SDK against the real program: keys in the headers that Azure and Anthropic clients use. */
import { rejects, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { CREDENTIAL } from "../support/config.ts";
import { TEXT } from "../support/mock/chat-answers.ts";
import { sdkOf, startStage } from "../support/stage.ts";
import { headerValues } from "../support/upstream.ts";

const { sluice, upstream } = await startStage();
const ask = { model: "gpt-4o", messages: [{ role: "user" as const, content: "Say it." }] };

for (const header of ["api-key", "x-api-key"]) {
  test(`a key in ${header} is taken, and replaced by the provider's credential`, async () => {
    const sdk = sdkOf(sluice, { defaultHeaders: { Authorization: null, [header]: sluice.key } });
    const answer = await sdk.chat.completions.create(ask);
    strictEqual(answer.choices[0]?.message.content, TEXT);
    const seen = await upstream.lastRequest();
    strictEqual(headerValues(seen, header).length, 0);
    strictEqual(headerValues(seen, "authorization").join(), `Bearer ${CREDENTIAL}`);
  });

  test(`a wrong key in ${header} is refused`, async () => {
    const sdk = sdkOf(sluice, { defaultHeaders: { Authorization: null, [header]: "sk-wrong" } });
    await rejects(sdk.chat.completions.create(ask), OpenAI.AuthenticationError);
  });
}
