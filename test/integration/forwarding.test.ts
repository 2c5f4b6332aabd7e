/** The client's bytes reach the provider as they were: only the model name and include_usage are spliced. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { UPSTREAM_MODEL } from "../support/config.ts";
import { ask } from "../support/http-client.ts";
import { startStage } from "../support/stage.ts";
import { bodyText } from "../support/upstream.ts";

const { sluice, upstream } = await startStage();

/** Sends the body and gives what the provider got. */
async function forwarded(body: string, path = "/chat/completions"): Promise<string> {
  const answer = await ask(sluice, path, { body });
  strictEqual(answer.status, 200, answer.text);
  return bodyText(await upstream.lastRequest());
}

const UNRENAMED = {
  "odd spacing": '  \n{ "messages"\t:[ {"role" :"user","content":"x"} ]\r\n, "model" : "gpt-4o-mini" }  \n',
  "big integers and odd numbers":
    '{"model":"gpt-4o-mini","seed":12345678901234567890,"t":1.0e+2,"u":-0,"v":0.10,"w":1E5}',
  "unicode escapes and raw unicode": '{"model":"gpt-4o-mini","user":"\\u00e9\\ud83d\\ude00é😀\\/\\"\\\\ \\u0000"}',
  "unknown fields in their order": '{"zeta":1,"model":"gpt-4o-mini","alpha":{"b":[],"a":null,"model":"inner"},"":true}',
  "duplicate keys that do not matter": '{"model":"gpt-4o-mini","temperature":1,"temperature":2}',
  "a model name spelled with escapes": '{"model":"gpt-4o\\u002dmini","n":1}',
  "a key spelled with escapes": '{"\\u006dodel":"gpt-4o-mini","n":1}',
};

for (const [what, body] of Object.entries(UNRENAMED)) {
  test(`a body passes byte for byte: ${what}`, async () => {
    strictEqual(await forwarded(body), body);
  });
}

const RENAMED = {
  "model first": '{"model":"gpt-4o", "messages":[{"role":"user","content":"gpt-4o"}], "n":1.0e+2}',
  "model last": '{"messages":[{"model":"gpt-4o"}],"seed":12345678901234567890 , "model" :\n"gpt-4o" }',
  "model in the middle": '{"a":"\\"model\\":\\"gpt-4o\\"","model":"gpt-4o","z":[1,2,{"x":"é"}]}',
};

for (const [what, body] of Object.entries(RENAMED)) {
  test(`only the model name changes: ${what}`, async () => {
    const at = topLevelModel(body);
    const expected = `${body.slice(0, at)}${body.slice(at).replace('"gpt-4o"', `"${UPSTREAM_MODEL}"`)}`;
    strictEqual(await forwarded(body), expected);
  });
}

/** Where the outermost `"model"` key begins in the bodies above. */
function topLevelModel(body: string): number {
  return body.startsWith('{"messages"') ? body.lastIndexOf('"model"') : body.search(/(?<!\\)"model(?!\\)"/);
}

const OPTION = '"stream_options":{"include_usage":true}';

test("include_usage is added to a stream that has no options, and nothing else changes", async () => {
  const body = '{ "stream" : true,"model":"gpt-4o-mini","messages":[ ],"x":1.0e+2 }';
  const got = await forwarded(body);
  const without = [got.replace(`${OPTION},`, ""), got.replace(`,${OPTION}`, "")];
  strictEqual(without.includes(body), true, got);
});

test("a stream that asked for usage is left alone", async () => {
  const body = '{"model":"gpt-4o-mini","stream":true,"stream_options": {"include_usage" : true },"messages":[]}';
  strictEqual(await forwarded(body), body);
});

for (const options of ["null", "{}", "{ }", '{"include_usage":false}', '{ "include_obfuscation" : false }']) {
  test(`include_usage is spliced into stream_options ${options}`, async () => {
    const [before, after] = ['{"model":"gpt-4o-mini","stream":true,"stream_options":', ',"seed":12345678901234567890}'];
    const got = await forwarded(before + options + after);
    strictEqual(got.startsWith(before) && got.endsWith(after), true, got);
    const sent: { stream_options: unknown } = JSON.parse(got);
    deepStrictEqual(sent.stream_options, { ...JSON.parse(options), include_usage: true });
  });
}

test("the model name and include_usage are both spliced into one body", async () => {
  const got = await forwarded('{"stream":true,"messages":[],"model":"gpt-4o"}');
  const sent: unknown = JSON.parse(got);
  deepStrictEqual(sent, {
    stream: true,
    messages: [],
    model: UPSTREAM_MODEL,
    stream_options: { include_usage: true },
  });
});

test("a stream of another endpoint gets no option", async () => {
  const body = '{"model":"gpt-4o-mini","stream":true,"input":"x"}';
  strictEqual(await forwarded(body, "/responses"), body);
});

test("a body that is not JSON passes byte for byte on other paths", async () => {
  const body = Buffer.from([0, 255, 1, 254, 13, 10, 34, 92]);
  const answer = await ask(sluice, "/uploads/upload_1/parts", {
    body,
    headers: { "content-type": "application/octet-stream" },
  });
  strictEqual(answer.status, 200, answer.text);
  deepStrictEqual(Buffer.from((await upstream.lastRequest()).body, "base64"), body);
});

test("path and query pass byte for byte", async () => {
  await ask(sluice, "/files/a%2Fb/content?limit=1&after=%20x&x=%C3%A9");
  strictEqual((await upstream.lastRequest()).target, "/v1/files/a%2Fb/content?limit=1&after=%20x&x=%C3%A9");
});

for (const method of ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
  test(`the method ${method} is forwarded on other paths`, async () => {
    const answer = await ask(sluice, "/batches/batch_1", { method });
    strictEqual(answer.status, 200, answer.text);
    strictEqual((await upstream.lastRequest()).method, method);
  });
}

test("the answer's bytes reach the client as the provider sent them", async () => {
  const body = { model: "gpt-4o-mini", stream: true, stream_options: { include_usage: true }, messages: [] };
  const direct = await fetch(`${upstream.url}/chat/completions`, { method: "POST", body: JSON.stringify(body) });
  const answer = await ask(sluice, "/chat/completions", { body });
  strictEqual(answer.text, await direct.text());
});
