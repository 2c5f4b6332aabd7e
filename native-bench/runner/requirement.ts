/** Programs of the machine that the benchmark can use. */
import { spawnSync } from "node:child_process";

/** Whether it can be started; `flag`: one that makes it end at once, whatever its exit code. */
export function isInstalled(program: string, flag: string): boolean {
  return spawnSync(program, [flag], { stdio: "ignore" }).error === undefined;
}
