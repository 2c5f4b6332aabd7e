/** All of the command line in one definition: `--help`, the manual page and the completions are made from it. Command line. */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { backupCommand } from "./backup.ts";
import { checkCommand } from "./check.ts";
import { hdrCommand } from "./hdr.ts";
import { keyCommand } from "./key.ts";
import { reloadCommand } from "./reload.ts";
import { restartCommand } from "./restart.ts";
import { serveCommand } from "./serve.ts";
import { usageCommand } from "./usage.ts";

/** Errors of usage are thrown: only main.ts ends the process. */
export function sluiceProgram(): Command {
  const root = new Command("sluice").description(
    "An AI gateway: the OpenAI endpoint in front of many model providers.",
  );
  root.version(version()).showHelpAfterError("Run with --help to see what is possible.");
  const running = [serveCommand(), reloadCommand(), restartCommand()];
  for (const command of [...running, checkCommand(), keyCommand(), usageCommand(), backupCommand(), hdrCommand()])
    root.addCommand(command);
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
