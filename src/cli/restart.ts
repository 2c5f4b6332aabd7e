/**
 * `sluice restart`: has the program as it is installed now take over from the one that runs, without losing a request, and
 * waits until it serves. Exit code 1: it does not, for the reason that is shown, and what ran before goes on.
 */
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { nowMs } from "../base/clock.ts";
import { CodedError } from "../base/errors.ts";
import type { ControlOutcome, ControlState } from "../config/control-path.ts";
import { configOption } from "./config-option.ts";
import { RunningGateway } from "./running-gateway.ts";
import { print, warn } from "./terminal.ts";

/** For the next generation to serve, milliseconds. */
const SERVE_MS_MAX = 60_000;
/** For the earlier one to finish: longest timeouts.drain. */
const FINISH_MS_MAX = 86_400_000;
const PAUSE_MS = 100;

export function restartCommand(): Command {
  return new Command("restart")
    .description("replace the running gateway by the program and the configuration as they are now; no request is lost")
    .addOption(configOption("configuration file of the gateway that runs"))
    .option("--wait", "also wait until the earlier generation has finished what runs", false)
    .action(async ({ config, wait }: { config: string; wait: boolean }) => {
      const gateway = new RunningGateway(resolve(config));
      const next = await replaced(gateway);
      print(`Generation ${next.generation} serves (version ${next.version}, ${next.workers} workers).`);
      if (next.finishing > 0) print(`${next.finishing} workers of earlier generations finish what runs.`);
      if (!wait) return;
      await waitFor(gateway, FINISH_MS_MAX, ({ finishing }) => finishing === 0);
      print("The earlier generations have ended.");
    });
}

async function replaced(gateway: RunningGateway): Promise<ControlState> {
  const { generation, pid } = await gateway.state();
  print(`Generation ${generation} runs; trying the program as it is installed now.`);
  const { refusal } = await gateway.order("restart").catch(handedOver);
  if (refusal !== null) throw new CodedError("restart_refused", `${refusal}\nWhat runs stays in service.`);
  print("It works, and takes over.");
  const isAnother = (state: ControlState) => state.generation > generation || state.pid !== pid;
  const isOver = (state: ControlState) => isAnother(state) && state.phase === "running";
  const state = await waitFor(gateway, SERVE_MS_MAX, (seen) => isOver(seen) || seen.restartError !== null);
  if (isOver(state)) {
    if (state.pid !== pid) warn("The process ended meanwhile, and another one was started: its log says why.");
    return state;
  }
  throw new CodedError("restart_failed", `${state.restartError}\nWhat runs stays in service.`);
}

/** The answer to an order that was followed may be cut by what it ordered. */
function handedOver(error: unknown): ControlOutcome {
  if (error instanceof CodedError && error.code === "not_allowed") throw error;
  return { refusal: null, epoch: 0 };
}

async function waitFor(
  gateway: RunningGateway,
  patienceMs: number,
  holds: (state: ControlState) => boolean,
): Promise<ControlState> {
  const deadlineMs = nowMs() + patienceMs;
  for (;;) {
    const state = await gateway.stateIfAny();
    if (state !== null && holds(state)) return state;
    if (nowMs() >= deadlineMs)
      throw new CodedError(
        "restart_late",
        "The next generation does not serve yet; the log says why. Earlier ones do.",
      );
    await sleep(PAUSE_MS);
  }
}
