/** `sluice canary reset`: a canary that was rolled back is tried again. Command line. Exit code 1: the model has none. */
import { resolve } from "node:path";
import { Command } from "commander";
import { configOption } from "./config-option.ts";
import { RunningGateway } from "./running-gateway.ts";
import { print, warn } from "./terminal.ts";

export function canaryCommand(): Command {
  const reset = new Command("reset")
    .description("give a canary that was rolled back its requests again; it is compared from now on")
    .argument("<model>", "the model's name in the configuration; MODEL/ROUTE for the canary of a route")
    .addOption(configOption("configuration file of the gateway that runs"))
    .action(async (model: string, { config }: { config: string }) => {
      const { refusal } = await new RunningGateway(resolve(config)).resetCanary(model);
      if (refusal === null) {
        print("The canary gets its share of the requests again.");
        return;
      }
      warn(refusal);
      process.exitCode = 1;
    });
  return new Command("canary").description("work with canaries").addCommand(reset);
}
