/** `npm start` as a new user meets it: no configuration, fixed ports, a line to paste. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import { PrivateNetwork } from "../support/private-network.ts";
import { Program, ROOT } from "../support/program.ts";
import { until } from "../support/until.ts";

const network = await PrivateNetwork.open();
after(() => network.close());

/** What npm runs for `npm start`, in `directory`. */
function start(directory: string, key: string): Program {
  const env = { OPENAI_API_KEY: key };
  return new Program([join(ROOT, "scripts/start.mjs")], env, directory, network.through);
}

/** What it prints once it is ready. */
async function greetingOf(program: Program): Promise<string> {
  return until("the gateway greets", () => {
    if (program.outcome !== null) throw new Error(`it ended with ${program.outcome}: ${program.stderr()}`);
    const text = program.stdout().slice(Math.max(0, program.stdout().indexOf("Sluice is ready")));
    return /\/metrics\n/.test(text) && text.endsWith("\n\n") ? text : undefined;
  });
}

async function stop(program: Program): Promise<void> {
  program.signal("SIGTERM");
  strictEqual(await program.end(), 0, program.stderr());
}

function newDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "sluice-first-"));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

/** The line that begins with `curl`. */
function curlLine(greeting: string): string {
  return /^ *(curl .*)$/m.exec(greeting)?.[1] ?? "no curl line";
}

/** A folder with something called curl, for the end of PATH. */
const standIn = mkdtempSync(join(tmpdir(), "sluice-curl-"));
symlinkSync(join(ROOT, "test/support/curl.mjs"), join(standIn, "curl"));
after(() => rmSync(standIn, { recursive: true }));

/** What the line prints in a shell. */
function paste(line: string): string {
  const [command = "", ...args] = [...network.through, "sh", "-c", line];
  const env = { ...process.env, PATH: `${process.env["PATH"]}${delimiter}${standIn}` };
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", env, timeout: 20_000 });
  strictEqual(status, 0, stderr);
  return stdout;
}

/** The text of a stream, which must be whole. */
function streamedText(answer: string): string {
  const events = answer.split("\n\n").filter((event) => event !== "");
  strictEqual(events.at(-1), "data: [DONE]", answer);
  const chunks = events.slice(0, -1).map((event) => JSON.parse(event.replace(/^data: /, "")));
  return chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join("");
}

test("the first start writes a configuration and prints a line that works when pasted", async (t) => {
  const directory = newDirectory(t);
  const program = start(directory, "");
  const greeting = await greetingOf(program);
  const file = join(directory, "sluice.yaml");
  strictEqual(statSync(file).mode & 0o777, 0o600);
  match(greeting, /base URL +http:\/\/127\.0\.0\.1:8081\/v1$/m);
  const [, key = ""] = /API key +(sk-sluice-\S+)$/m.exec(greeting) ?? [];
  strictEqual(readFileSync(file, "utf8").includes(key), false);
  const line = curlLine(greeting);
  strictEqual(line.includes(key), true, line);
  match(streamedText(paste(line)), /Hello, Sluice!/);
  const whole = JSON.parse(paste(line.replace('"stream":true', '"stream":false')));
  match(whole.choices[0].message.content, /Hello, Sluice!/);
  strictEqual(whole.usage.total_tokens > 0, true);
  await stop(program);
});

test("the second start takes the file as it is, and the key is still good", async (t) => {
  const directory = newDirectory(t);
  const first = start(directory, "");
  const line = curlLine(await greetingOf(first));
  await stop(first);
  const written = readFileSync(join(directory, "sluice.yaml"));
  const second = start(directory, "");
  const greeting = await greetingOf(second);
  deepStrictEqual(/curl|sk-sluice/.test(greeting), false, greeting);
  match(streamedText(paste(line)), /Hello, Sluice!/);
  await stop(second);
  deepStrictEqual(readFileSync(join(directory, "sluice.yaml")), written);
});

test("with OPENAI_API_KEY set, OpenAI is a target as well, and stays one", async (t) => {
  const directory = newDirectory(t);
  const program = start(directory, "sk-openai-not-real");
  const line = curlLine(await greetingOf(program));
  match(streamedText(paste(line)), /Hello, Sluice!/);
  const models = paste(line.replace("chat/completions", "models").replace(/-d '.*'/, "-X GET"));
  const names: string[] = JSON.parse(models).data.map(({ id }: { id: string }) => id);
  deepStrictEqual(
    ["demo-chat", "gpt-4o-mini"].filter((name) => !names.includes(name)),
    [],
  );
  await stop(program);
  const file = join(directory, "sluice.yaml");
  strictEqual(readFileSync(file, "utf8").includes("sk-openai"), false);
  const { models: routes, providers } = loadConfig(file, { OPENAI_API_KEY: "sk-openai-not-real" });
  deepStrictEqual(
    [routes["gpt-4o-mini"]?.targets[0]?.provider, routes["demo-chat"]?.targets[0]?.provider],
    ["openai", "demo"],
  );
  strictEqual(providers["openai"]?.baseUrl, "https://api.openai.com/v1");
  const later = start(directory, "");
  strictEqual(await later.end(), 1);
  match(later.stderr(), /OPENAI_API_KEY is not set/);
});
