/** `sluice backup FILE`: a copy of the usage records, as they are at this moment, while the gateway runs or not. */
import { resolve } from "node:path";
import { Command } from "commander";
import { backUpStore } from "../telemetry/sinks/store-backup.ts";
import { configOption } from "./config-option.ts";
import { type DataDirOptions, dataDirOf, dataDirOption } from "./data-dir-option.ts";
import { print } from "./terminal.ts";

export function backupCommand(): Command {
  return new Command("backup")
    .description("copy the usage records into a file, while the gateway runs or not")
    .argument("<file>", "where to; it must not exist, and appears when it is whole")
    .addOption(dataDirOption())
    .addOption(configOption("configuration file that names the data directory"))
    .action((file: string, options: DataDirOptions, command: Command) => {
      const bytes = backUpStore(dataDirOf(options, command), resolve(file));
      print(`${file} has the usage records up to now (${bytes} bytes).`);
    });
}
