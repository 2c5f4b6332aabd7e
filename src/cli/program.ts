/** All of the command line in one definition: `--help`, the manual page and the completions are made from it. Command line. */
import type { Command } from "commander";
import { backupCommand } from "./backup.ts";
import { canaryCommand } from "./canary.ts";
import { checkCommand } from "./check.ts";
import { explainCommand } from "./explain.ts";
import { hdrCommand } from "./hdr.ts";
import { keyCommand } from "./key.ts";
import { reloadCommand } from "./reload.ts";
import { restartCommand } from "./restart.ts";
import { rootOf } from "./root.ts";
import { serveCommand } from "./serve.ts";
import { usageCommand } from "./usage.ts";

export function sluiceProgram(): Command {
  const running = [serveCommand(), reloadCommand(), restartCommand(), canaryCommand()];
  const reading = [checkCommand(), explainCommand(), keyCommand(), usageCommand(), backupCommand(), hdrCommand()];
  return rootOf([...running, ...reading]);
}
