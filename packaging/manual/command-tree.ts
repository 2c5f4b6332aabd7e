/**
 * The command line as data: what commander knows of every subcommand, for the manual page and the completions. Packaging.
 * Taken from the definitions that run, so nothing here can be out of date.
 */
import type { Argument, Command, Option } from "commander";

export interface OptionEntry {
  /** As in help: "-c, --config <file>". */
  readonly flags: string;
  /** The spellings without the value: ["-c", "--config"]. */
  readonly names: readonly string[];
  /** Name of its value; null: it takes none. */
  readonly value: string | null;
  readonly choices: readonly string[];
  readonly description: string;
  readonly mandatory: boolean;
  /** What help shows; null: none worth showing. */
  readonly byDefault: string | null;
  readonly variable: string | null;
}

export interface ArgumentEntry {
  readonly name: string;
  /** As in usage: "<file...>". */
  readonly usage: string;
  readonly description: string;
}

export interface CommandEntry {
  /** ["sluice", "key", "create"] */
  readonly path: readonly string[];
  readonly description: string;
  readonly arguments: readonly ArgumentEntry[];
  readonly options: readonly OptionEntry[];
  readonly commands: readonly CommandEntry[];
  /** What its help says at the end, as lines. */
  readonly notes: string;
}

export function commandTree(command: Command, above: readonly string[] = []): CommandEntry {
  const path = [...above, command.name()];
  const help = command.createHelp();
  return {
    path,
    description: command.description(),
    arguments: command.registeredArguments.map(argumentEntry),
    options: help.visibleOptions(command).map(optionEntry),
    commands: command.commands.map((below) => commandTree(below, path)),
    notes: notesOf(command),
  };
}

/** The command and all below it. */
export function allCommands(entry: CommandEntry): readonly CommandEntry[] {
  return [entry, ...entry.commands.flatMap(allCommands)];
}

function argumentEntry(argument: Argument): ArgumentEntry {
  const name = `${argument.name()}${argument.variadic ? "..." : ""}`;
  const usage = argument.required ? `<${name}>` : `[${name}]`;
  return { name: argument.name(), usage, description: argument.description };
}

function optionEntry(option: Option): OptionEntry {
  const names = [option.short, option.long].filter((name) => name !== undefined);
  const value = option.required || option.optional ? (/[<[]([^>\]]+)[>\]]/.exec(option.flags)?.[1] ?? null) : null;
  return {
    flags: option.flags,
    names,
    value,
    choices: option.argChoices ?? [],
    description: option.description,
    mandatory: option.mandatory,
    byDefault: defaultText(option),
    variable: option.envVar ?? null,
  };
}

function defaultText({ defaultValue, defaultValueDescription, negate }: Option): string | null {
  if (negate || defaultValue === undefined || defaultValue === false) return null;
  return defaultValueDescription ?? (Array.isArray(defaultValue) ? defaultValue.join(",") : String(defaultValue));
}

/** commander keeps what follows the help to itself; so it is what is printed behind it. */
function notesOf(command: Command): string {
  const printed: string[] = [];
  command.configureOutput({ writeOut: (text) => printed.push(text) });
  command.outputHelp();
  const all = printed.join("");
  const own = command.helpInformation();
  return all.slice(all.indexOf(own) + own.length).trim();
}
