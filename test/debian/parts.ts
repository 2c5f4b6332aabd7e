/** The parts of the test on a real Debian, each a list of steps: between two of them the machine is started again. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { changeSteps } from "./changes.ts";
import { deathSteps } from "./deaths.ts";
import { Gateway } from "./gateway.ts";
import { installSteps } from "./install.ts";
import { leaveSteps, noteSteps } from "./leave.ts";
import { Provider } from "./provider.ts";
import type { Step } from "./step.ts";

/** `packages`: a folder with one package in `first`, and the ones that upgrade it in `upgrades`. */
export function partsOf(packages: string): Readonly<Record<string, readonly Step[]>> {
  const [first = ""] = packagesIn(join(packages, "first"));
  const upgrades = packagesIn(join(packages, "upgrades"));
  const gateway = new Gateway();
  const provider = new Provider();
  const running = [
    ...installSteps(gateway, first),
    ...changeSteps(gateway, provider, upgrades),
    ...deathSteps(gateway, provider),
    ...noteSteps(),
  ];
  return { running, rebooted: leaveSteps(gateway, provider, upgrades.at(-1) ?? "") };
}

function packagesIn(folder: string): readonly string[] {
  return readdirSync(folder)
    .sort()
    .map((name) => join(folder, name));
}
