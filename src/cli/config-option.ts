/** Where subcommands look for the configuration that the command line does not name. Command line. */
import { Option } from "commander";

/** The package's /usr/bin/sluice sets it, so that there the file is the service's. */
export const CONFIG_VARIABLE = "SLUICE_CONFIG";

export function configOption(description: string): Option {
  return namedConfigOption(description).default("sluice.yaml");
}

/** Of a command that does not guess. */
export function namedConfigOption(description: string): Option {
  return new Option("-c, --config <file>", description).env(CONFIG_VARIABLE);
}
