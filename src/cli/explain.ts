/**
 * `sluice explain`: what would become of a request, without making it. The running gateway decides, over what it knows at this moment;
 * where none runs, this process does, over the file alone, and says so. Exit code 0 whatever the decision is.
 */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { CodedError } from "../base/errors.ts";
import { EXPLAIN_BODY_BYTES_MAX } from "../base/limits.ts";
import type { ExplainQuestion, Explanation } from "../config/explanation.ts";
import { readConfig } from "../config/load.ts";
import { formatProblems } from "../config/problem.ts";
import { explainOffline } from "../pipeline/explain-offline.ts";
import { configOption } from "./config-option.ts";
import { explanationText } from "./explain-report.ts";
import { RunningGateway } from "./running-gateway.ts";
import { print, warn } from "./terminal.ts";

/** What one token is taken for: providers/response-scan.ts. */
const BYTES_PER_TOKEN = 4;
const PROMPT_TOKENS_MAX = EXPLAIN_BODY_BYTES_MAX / BYTES_PER_TOKEN / 2;
const TOKENS_MAX = 1_000_000_000;
const HEADER = /^([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([^\r\n]*)$/;

interface ExplainOptions {
  readonly config: string;
  readonly key: string;
  readonly model?: string;
  readonly path: string;
  readonly stream: boolean;
  readonly promptTokens: number;
  readonly maxTokens?: number;
  readonly user?: string;
  readonly address: string;
  readonly header: readonly string[];
  readonly body?: string;
  readonly offline: boolean;
  readonly json: boolean;
}

export function explainCommand(): Command {
  return new Command("explain")
    .description(
      "say what would become of a request, without making it: route, targets, limits, budgets and the answer",
    )
    .addOption(configOption("configuration file of the gateway that runs"))
    .requiredOption("--key <name>", "name of the key that it comes with")
    .option("--model <name>", "model that it asks for")
    .option("--path <path>", "path that it is sent to", "/v1/chat/completions")
    .option("--stream", "it asks for a stream", false)
    .option("--prompt-tokens <n>", "size of its prompt", countOf(PROMPT_TOKENS_MAX), 0)
    .option("--max-tokens <n>", "tokens of an answer that it allows", countOf(TOKENS_MAX))
    .option("--user <name>", "its field 'user'")
    .option("--address <ip>", "address of its client, for limits by address", address, "")
    .option("--header <line>", "a header of it, 'name: value'; can be given several times", headers, [])
    .option("--body <file>", "its body, instead of one that is made of the options above")
    .option("--offline", "do not ask the gateway that runs", false)
    .option("--json", "print JSON", false)
    .action(async (options: ExplainOptions, command: Command) => {
      if (options.model === undefined && options.body === undefined)
        command.error("error: required option '--model <name>' or '--body <file>' not specified");
      const { live, explanation } = await explained(resolve(options.config), questionOf(options), options.offline);
      if (!live) warn("No gateway was asked: nothing is known of what is used, open or in flight.");
      print(options.json ? JSON.stringify({ live, ...explanation }, null, 2) : explanationText(explanation));
    });
}

function countOf(most: number): (text: string) => number {
  return (text) => {
    const count = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
    if (count <= most) return count;
    throw new InvalidArgumentError(`Expected a whole number from 0 to ${most}.`);
  };
}

function address(text: string): string {
  if (isIP(text) > 0) return text;
  throw new InvalidArgumentError("Expected an IPv4 or IPv6 address.");
}

/** Flat list name, value. */
function headers(line: string, before: readonly string[]): readonly string[] {
  const [, name, value] = HEADER.exec(line) ?? [];
  if (name === undefined || value === undefined) throw new InvalidArgumentError("Expected 'name: value'.");
  return [...before, name.toLowerCase(), value.trim()];
}

function questionOf(options: ExplainOptions): ExplainQuestion {
  const { key, path, header, address, body } = options;
  return { key, path, headers: header, address, body: body === undefined ? bodyOf(options) : bodyIn(body) };
}

function bodyOf({ path, model, stream, promptTokens, maxTokens, user }: ExplainOptions): string {
  const text = "x".repeat(promptTokens * BYTES_PER_TOKEN);
  const prompt = path.endsWith("/chat/completions")
    ? { messages: [{ role: "user", content: text }] }
    : path.endsWith("/completions")
      ? { prompt: text }
      : { input: text };
  return JSON.stringify({ model, ...(stream ? { stream } : {}), max_tokens: maxTokens, user, ...prompt });
}

function bodyIn(file: string): string {
  try {
    const body = readFileSync(file);
    if (body.length <= EXPLAIN_BODY_BYTES_MAX) return body.toString();
  } catch (cause) {
    const reason = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown error";
    throw new CodedError("body_unreadable", `The file ${file} could not be read (${reason}).`, cause);
  }
  throw new CodedError("body_unreadable", `The file ${file} has more than ${EXPLAIN_BODY_BYTES_MAX} bytes.`);
}

async function explained(
  configPath: string,
  question: ExplainQuestion,
  offline: boolean,
): Promise<{ readonly live: boolean; readonly explanation: Explanation }> {
  const { text, config, problems } = readConfig(configPath, process.env);
  if (config === null) throw new CodedError("config_invalid", formatProblems(configPath, text, problems));
  const explanation = offline ? null : await new RunningGateway(configPath).explain(question);
  return explanation === null
    ? { live: false, explanation: explainOffline(config, question) }
    : { live: true, explanation };
}
