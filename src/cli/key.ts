/**
 * `sluice key create`: makes a key, prints it once, and adds its hash to a configuration file if one is named. The plain
 * key is written to standard output, or to the file that --output names, and nowhere else.
 */
import { rmSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { CodedError } from "../base/errors.ts";
import { MODEL_BYTES_MAX } from "../base/limits.ts";
import { hashKey, newKey } from "../config/key.ts";
import { insertKeyEntry, type KeyEntry, keyEntryYaml } from "../config/key-entry.ts";
import { checkText, type Reading, readConfig } from "../config/load.ts";
import { formatProblems } from "../config/problem.ts";
import { replaceFile } from "../config/replace.ts";
import { type Read, Refusal, readInstant, readName } from "../config/scalar.ts";
import { KEY_LABEL_BYTES } from "../config/snapshot.ts";
import { print } from "./terminal.ts";

interface CreateOptions {
  readonly name: string;
  readonly models?: readonly string[];
  readonly expires?: string;
  readonly config?: string;
  readonly output?: string;
}

export function keyCommand(): Command {
  const create = new Command("create")
    .description("make a key; it is shown once, the configuration holds its hash")
    .requiredOption("--name <name>", "name of the key in usage and logs", argument(readName(KEY_LABEL_BYTES - 1)))
    .option("--models <models>", "the only models it may use, separated by commas", modelList)
    .option("--expires <when>", "when it stops, such as 2027-01-01T00:00:00Z", argument(readFuture))
    .option("-c, --config <file>", "configuration file to add it to, or to its keys_file")
    .option("-o, --output <file>", "write the key to this new file, for its owner only, instead of showing it")
    .action(createKey);
  return new Command("key").description("work with keys").addCommand(create);
}

/** An option that is taken as it is if `read` takes it. */
function argument<T>(read: Read<T>): (text: string) => string {
  return (text) => {
    const value = read(text);
    if (value instanceof Refusal) throw new InvalidArgumentError(value.message);
    return text;
  };
}

function readFuture(text: string): number | Refusal {
  const instant = readInstant(text);
  if (instant instanceof Refusal || instant > Date.now()) return instant;
  return new Refusal("This is in the past: the key would never be good.");
}

function modelList(text: string): readonly string[] {
  return text.split(",").map((model) => argument(readName(MODEL_BYTES_MAX))(model.trim()));
}

function createKey({ name, models, expires, config, output }: CreateOptions): void {
  const key = newKey();
  const entry: KeyEntry = { name, hash: hashKey(key), expires: expires ?? null, models: models ?? null };
  if (output !== undefined) writeKey(output, key);
  const changed = config === undefined ? null : withoutLeftover(output, () => addToFile(config, entry));
  print(output === undefined ? `${key}\n\nThis is the only time that the key is shown.` : `The key is in ${output}.`);
  if (changed !== null) {
    print(`Its hash was added to ${changed}. To put it in force: systemctl reload sluice, or kill -HUP PID`);
    return;
  }
  print(`Add its hash to the configuration, then reload (systemctl reload sluice, or kill -HUP PID):\n`);
  print(`keys:\n  - ${keyEntryYaml(entry)}`);
}

/** Never over a file that exists: it could be a key that is in use. */
function writeKey(path: string, key: string): void {
  try {
    writeFileSync(path, `${key}\n`, { flag: "wx", mode: 0o600 });
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown error";
    const reason = code === "EEXIST" ? "exists already and was left as it is" : `could not be written (${code})`;
    throw new CodedError("key_not_written", `The file ${path} ${reason}.`, cause);
  }
}

/** A key that could not be added is good for nothing, so its file goes. */
function withoutLeftover<T>(output: string | undefined, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (output !== undefined) rmSync(output, { force: true });
    throw error;
  }
}

/** Adds the entry to the configuration, or to the file that it keeps its keys in; the path of the one that was changed. */
function addToFile(path: string, entry: KeyEntry): string {
  const current = readConfig(path, process.env);
  refuse(current, `${path} has problems that must be solved first.`);
  const keysFile = current.form?.keys_file;
  const target = keysFile === undefined ? path : resolve(dirname(path), keysFile);
  const read = (text: string) =>
    keysFile === undefined ? checkText(path, text, process.env) : checkText(path, current.text, process.env, text);
  replaceFile(target, (before) => {
    const edited = insertKeyEntry(before, entry);
    if (edited === null || !isAdded(read(before), read(edited), entry))
      throw new CodedError("keys_not_editable", byHand(target));
    return edited;
  });
  return target;
}

/** Throws with the problems; a name that is taken and a model that does not exist are found as well. */
function refuse({ path, text, problems }: Reading, conclusion: string): void {
  if (problems.length > 0)
    throw new CodedError("config_invalid", `${formatProblems(path, text, problems)}\n${conclusion}`);
}

/** Whether `after` means what `before` meant and this entry more. Throws if the entry itself is what is wrong. */
function isAdded(before: Reading, after: Reading, entry: KeyEntry): boolean {
  refuse(before, `${before.path} has problems that must be solved first.`);
  refuse(after, "The key cannot be added; the file was left as it is.");
  const last = after.form?.keys.at(-1);
  return (
    last?.hash === entry.hash &&
    last.name === entry.name &&
    after.form?.keys.length === (before.form?.keys.length ?? 0) + 1
  );
}

function byHand(path: string): string {
  return `The keys in ${path} are written in a way that cannot be edited safely; run this without -c and add the entry by hand.`;
}
