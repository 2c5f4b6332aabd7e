/** The access log and what must never be in any log, error or record: credentials, keys and prompts. */
import { strictEqual } from "node:assert/strict";
import { readFile, rename } from "node:fs/promises";
import { test } from "node:test";
import { CREDENTIAL, KEY } from "../support/config.ts";
import { ask, chat } from "../support/http-client.ts";
import { startStage } from "../support/stage.ts";
import { until } from "../support/until.ts";

const { sluice } = await startStage(() => ({ timeouts: { first_byte: "300ms", idle: "300ms" } }));
const PROMPT = "the-secret-prompt-text";
const WRONG_KEY = "sk-a-wrong-key-of-somebody";

async function logged(id: string): Promise<string> {
  return until(`the access log has ${id}`, async () => {
    const lines = (await sluice.accessLogText()).split("\n");
    return lines.find((line) => line.includes(id));
  });
}

test("each request is one line of JSON in the access log", async () => {
  const answer = await chat(sluice);
  const line: Record<string, unknown> = JSON.parse(await logged(answer.requestId));
  strictEqual(line["status"], 200);
  strictEqual(line["model"], "gpt-4o");
  strictEqual(line["output_tokens"], 9);
});

test("SIGUSR2 reopens the access log: lines go on in a new file, none is lost", async () => {
  const first = await chat(sluice);
  await logged(first.requestId);
  const rotated = `${sluice.accessLog}.1`;
  await rename(sluice.accessLog, rotated);
  const between = await chat(sluice);
  sluice.signal("SIGUSR2");
  await until("there is a new file", async () => {
    const answer = await chat(sluice);
    await until("the line is somewhere", async () => (await linesOf(rotated)).includes(answer.requestId));
    return (await sluice.accessLogText()) !== "";
  });
  strictEqual((await linesOf(rotated)).includes(between.requestId), true);
});

/** Both files together. */
async function linesOf(rotated: string): Promise<string> {
  return (await readFile(rotated, "utf8")) + (await sluice.accessLogText());
}

const FAULTS = [
  "",
  "status=500",
  "status-401-leaking",
  "reset-before-head",
  "garbage",
  "stall-before-head",
  "stall-mid-stream",
  "cut-mid-stream",
  "crlf-in-header",
];

/** All that a client is told, headers included. */
async function toldFor(fault: string, key: string, stream: boolean): Promise<string> {
  const body = { model: "gpt-4o", stream, messages: [{ role: "user", content: PROMPT }] };
  const headers = { authorization: `Bearer ${key}`, "x-mock": fault };
  const answer = await ask(sluice, "/chat/completions", { body, headers }).catch(() => null);
  return answer === null ? "" : answer.text + JSON.stringify([...answer.headers]);
}

test("no answer, log or access log has a credential, a key or a prompt", async () => {
  let told = await toldFor("", WRONG_KEY, false);
  for (const fault of FAULTS) told += (await toldFor(fault, KEY, true)) + (await toldFor(fault, KEY, false));
  const last = await chat(sluice);
  await logged(last.requestId);
  const everything = {
    told,
    log: sluice.log,
    access: await sluice.accessLogText(),
    metrics: await sluice.metricsPage(),
  };
  for (const [where, text] of Object.entries(everything)) {
    for (const secret of [CREDENTIAL, KEY, WRONG_KEY, PROMPT])
      strictEqual(text.includes(secret), false, `${where}: ${secret}`);
  }
});

test("a provider's 403 that repeats the credential does not reach the client", async () => {
  strictEqual((await toldFor("status-403-leaking", KEY, false)).includes(CREDENTIAL), false);
});
