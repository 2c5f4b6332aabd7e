/**
 * The `sluice` command: argv to one subcommand, errors to a message and an exit code. The only process.exit. Codes: 0
 * done, 1 failed, 2 wrong usage, and those of `hdr diff` in its help. Subcommands set process.exitCode or throw; what they print is theirs.
 */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { CodedError } from "./base/errors.ts";
import { checkCommand } from "./cli/check.ts";
import { hdrCommand } from "./cli/hdr.ts";
import { keyCommand } from "./cli/key.ts";
import { serveCommand } from "./cli/serve.ts";
import { warn } from "./cli/terminal.ts";
import { usageCommand } from "./cli/usage.ts";

function version(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

function program(): Command {
  const root = new Command("sluice").description(
    "An AI gateway: the OpenAI endpoint in front of many model providers.",
  );
  root.version(version()).showHelpAfterError("Run with --help to see what is possible.");
  for (const command of [serveCommand(), checkCommand(), keyCommand(), usageCommand(), hdrCommand()])
    root.addCommand(command);
  throwInsteadOfExit(root);
  return root;
}

function throwInsteadOfExit(command: Command): void {
  command.exitOverride();
  for (const below of command.commands) throwInsteadOfExit(below.copyInheritedSettings(command));
}

/** The message has been printed by commander for its own errors; a stack trace helps nobody at a terminal. */
function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof CodedError) warn(error.message);
  else warn(`sluice failed: ${error instanceof Error ? error.message : String(error)}\nThis is a bug in sluice.`);
  return 1;
}

async function main(): Promise<number> {
  try {
    await program().parseAsync();
    return Number(process.exitCode ?? 0);
  } catch (error) {
    return exitCodeOf(error);
  }
}

// `sluice usage | head`: the reader has what it wanted.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
process.exit(await main());
