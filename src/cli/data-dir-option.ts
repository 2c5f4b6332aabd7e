/** Which data directory a subcommand works on: one that is named, or that of a configuration. Command line. */
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { CodedError } from "../base/errors.ts";
import { readConfig } from "../config/load.ts";
import { formatProblems } from "../config/problem.ts";

export interface DataDirOptions {
  readonly dataDir?: string;
  readonly config: string;
}

export function dataDirOption(): Option {
  return new Option("-d, --data-dir <directory>", "data directory of the gateway, in the place of a configuration");
}

/** Both on the command line are a mistake; a configuration in the environment is not meant then. */
export function dataDirOf(options: DataDirOptions, command: Command): string {
  if (options.dataDir === undefined) return configuredDataDir(options.config);
  if (command.getOptionValueSource("config") === "cli")
    command.error("error: option '--data-dir' cannot be used with option '--config'");
  return resolve(options.dataDir);
}

/** Credentials that this shell lacks do not matter here; anything else that is wrong with the file does. */
function configuredDataDir(file: string): string {
  const { config, text, problems } = readConfig(file, process.env);
  if (config === null) throw new CodedError("config_invalid", formatProblems(file, text, problems));
  return config.dataDir;
}
