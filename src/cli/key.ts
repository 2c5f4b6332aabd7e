/**
 * `sluice key create`: makes a key, prints it once, and adds its hash to a configuration file if one is named. The plain
 * key is written to standard output and nowhere else.
 */
import { Command, InvalidArgumentError } from "commander";
import { CodedError } from "../base/errors.ts";
import { MODEL_BYTES_MAX } from "../base/limits.ts";
import { hashKey, newKey } from "../config/key.ts";
import { insertKeyEntry, type KeyEntry, keyEntryYaml } from "../config/key-entry.ts";
import { checkText } from "../config/load.ts";
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
}

export function keyCommand(): Command {
  const create = new Command("create")
    .description("make a key; it is shown once, the configuration holds its hash")
    .requiredOption("--name <name>", "name of the key in usage and logs", argument(readName(KEY_LABEL_BYTES - 1)))
    .option("--models <models>", "the only models it may use, separated by commas", modelList)
    .option("--expires <when>", "when it stops, such as 2027-01-01T00:00:00Z", argument(readFuture))
    .option("-c, --config <file>", "configuration file to add it to")
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

function createKey({ name, models, expires, config }: CreateOptions): void {
  const key = newKey();
  const entry: KeyEntry = { name, hash: hashKey(key), expires: expires ?? null, models: models ?? null };
  if (config !== undefined) addToFile(config, entry);
  print(key);
  print("\nThis is the only time that the key is shown.");
  if (config !== undefined) {
    print(`Its hash was added to ${config}. To put it in force: systemctl reload sluice, or kill -HUP PID`);
    return;
  }
  print(`Add its hash to the configuration, then reload (systemctl reload sluice, or kill -HUP PID):\n`);
  print(`keys:\n  - ${keyEntryYaml(entry)}`);
}

function addToFile(path: string, entry: KeyEntry): void {
  replaceFile(path, (text) => {
    refuseProblems(path, text, `${path} has problems that must be solved first.`);
    const edited = insertKeyEntry(text, entry);
    if (edited === null || !hasEntry(path, text, edited, entry))
      throw new CodedError("keys_not_editable", byHand(path));
    return edited;
  });
}

/** Throws with the problems of `text`; a name that is taken and a model that does not exist are found here as well. */
function refuseProblems(path: string, text: string, conclusion: string): void {
  const { problems } = checkText(path, text, process.env);
  if (problems.length > 0)
    throw new CodedError("config_invalid", `${formatProblems(path, text, problems)}\n${conclusion}`);
}

/** Whether `edited` means what `text` meant and this entry more. Throws if the entry itself is what is wrong. */
function hasEntry(path: string, text: string, edited: string, entry: KeyEntry): boolean {
  refuseProblems(path, edited, "The key cannot be added; the file was left as it is.");
  const [before, after] = [checkText(path, text, process.env).form, checkText(path, edited, process.env).form];
  const last = after?.keys.at(-1);
  return last?.hash === entry.hash && last.name === entry.name && after?.keys.length === (before?.keys.length ?? 0) + 1;
}

function byHand(path: string): string {
  return `The keys in ${path} are written in a way that cannot be edited safely; run this without -c and add the entry by hand.`;
}
