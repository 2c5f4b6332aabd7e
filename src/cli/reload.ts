/** `sluice reload`: has the running gateway read its configuration again, and waits for what comes of it. Exit code 1: refused. */
import { resolve } from "node:path";
import { Command } from "commander";
import { configOption } from "./config-option.ts";
import { RunningGateway } from "./running-gateway.ts";
import { print, warn } from "./terminal.ts";

export function reloadCommand(): Command {
  return new Command("reload")
    .description("put a changed configuration in force; one with a mistake changes nothing, and is shown")
    .addOption(configOption("configuration file of the gateway that runs"))
    .action(async ({ config }: { config: string }) => {
      const { refusal, epoch } = await new RunningGateway(resolve(config)).order("reload");
      if (refusal === null) {
        print(`The configuration is in force (epoch ${epoch}).`);
        return;
      }
      warn(`${refusal}\nThe reload was refused; the configuration in force stays (epoch ${epoch}).`);
      process.exitCode = 1;
    });
}
