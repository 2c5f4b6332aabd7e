/** `sluice serve`: runs the gateway until it is told to stop. The supervisor is only loaded here, so that others start fast. */
import { resolve } from "node:path";
import { Command } from "commander";

export function serveCommand(): Command {
  return new Command("serve")
    .description("run the gateway")
    .option("-c, --config <file>", "configuration file", "sluice.yaml")
    .option("--first-run", "write a first configuration if the file does not exist", false)
    .action(async ({ config, firstRun }: { config: string; firstRun: boolean }) => {
      const { serve } = await import("../supervisor/supervisor.ts");
      process.exitCode = await serve({ configPath: resolve(config), firstRun });
    });
}
