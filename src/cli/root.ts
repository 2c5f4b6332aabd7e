/** The command line's root, with all subcommands or with the one that is wanted. Command line. */
import { readFileSync } from "node:fs";
import { Command } from "commander";

/** Errors of usage are thrown: only main.ts ends the process. */
export function rootOf(commands: readonly Command[]): Command {
  const root = new Command("sluice").description(
    "An AI gateway: the OpenAI endpoint in front of many model providers.",
  );
  root.version(version()).showHelpAfterError("Run with --help to see what is possible.");
  for (const command of commands) root.addCommand(command);
  throwInsteadOfExit(root);
  return root;
}

function version(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

function throwInsteadOfExit(command: Command): void {
  command.exitOverride();
  for (const below of command.commands) throwInsteadOfExit(below.copyInheritedSettings(command));
}
