/** Which data directory a subcommand works on: one that is named, or that of a configuration. Command line. */
import { resolve } from "node:path";
import { Option } from "commander";
import { CodedError } from "../base/errors.ts";
import { readConfig } from "../config/load.ts";
import { formatProblems } from "../config/problem.ts";

export interface DataDirOptions {
  readonly dataDir?: string;
  readonly config: string;
}

export function dataDirOption(): Option {
  return new Option("-d, --data-dir <directory>", "data directory of the gateway").conflicts("config");
}

/** Credentials that this shell lacks do not matter here; anything else that is wrong with the file does. */
export function dataDirOf({ dataDir, config: file }: DataDirOptions): string {
  if (dataDir !== undefined) return resolve(dataDir);
  const { config, text, problems } = readConfig(file, process.env);
  if (config === null) throw new CodedError("config_invalid", formatProblems(file, text, problems));
  return config.dataDir;
}
