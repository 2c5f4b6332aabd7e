/**
 * The `sluice` command: argv to one subcommand, errors to a message and an exit code. The only process.exit. Codes: 0
 * done, 1 failed, 2 wrong usage, and those of `hdr diff` in its help. Subcommands set process.exitCode or throw; what they print is theirs.
 */
import { type Command, CommanderError } from "commander";
import { CodedError } from "./base/errors.ts";
import { rootOf } from "./cli/root.ts";
import { serveCommand } from "./cli/serve.ts";
import { warn } from "./cli/terminal.ts";

/** The message has been printed by commander for its own errors; a stack trace helps nobody at a terminal. */
function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof CodedError) warn(error.message);
  else warn(`sluice failed: ${error instanceof Error ? error.message : String(error)}\nThis is a bug in sluice.`);
  return 1;
}

/** What only the other subcommands need would stay in the gateway's memory for as long as it runs. */
async function program(): Promise<Command> {
  if (process.argv[2] === "serve") return rootOf([serveCommand()]);
  const { sluiceProgram } = await import("./cli/program.ts");
  return sluiceProgram();
}

async function main(): Promise<number> {
  try {
    await (await program()).parseAsync();
    return Number(process.exitCode ?? 0);
  } catch (error) {
    return exitCodeOf(error);
  }
}

// `sluice usage | head`: the reader has what it wanted.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
process.exit(await main());
