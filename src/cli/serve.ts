/** `sluice serve`: runs the gateway until it is told to stop. The supervisor is only loaded here, so that others start fast. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { Command } from "commander";
import { configOption } from "./config-option.ts";

export function serveCommand(): Command {
  return new Command("serve")
    .description("run the gateway")
    .addOption(configOption("configuration file"))
    .option("--first-run", "write a first configuration if the file does not exist", false)
    .action(async ({ config, firstRun }: { config: string; firstRun: boolean }, command: Command) => {
      const { serve } = await import("../supervisor/supervisor.ts");
      const configPath = resolve(config);
      // A file that was named is expected to be there: a mistyped name must not make a new gateway.
      const mistyped = command.getOptionValueSource("config") !== "default" && !existsSync(configPath);
      process.exitCode = await serve({ configPath, firstRun: firstRun && !mistyped });
    });
}
