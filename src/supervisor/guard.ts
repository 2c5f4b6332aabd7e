/**
 * The guard of a restart, as the program sees it that hands over: what the next one gets so that its process lives, and no signal
 * is lost, until it runs (native/guard.cc). Supervisor main thread. The guard is this program's own addon, by a descriptor that
 * was opened at our start: whatever became of the files since, it is whole.
 */
import { openSync } from "node:fs";
import process from "node:process";
import { ADDON_FILE } from "../native/native.ts";
import { descriptorsOf, type Handover } from "./handover.ts";

/**
 * A start that takes longer is begun again, seconds; the next time it gets twice as long. A store of another version may be
 * brought up to date in it.
 */
const START_S_MAX = 300;
const MS_PER_S = 1_000;

export class Guard {
  readonly #addon = openSync(ADDON_FILE, "r");

  /** NAME=value for the next program, and what must stay open for it. */
  over(handover: Handover): { readonly variables: readonly string[]; readonly descriptors: readonly number[] } {
    const descriptors = [...descriptorsOf(handover), this.#addon];
    const channels = [...handover.workers, ...handover.demo].map(({ channel }) => channel);
    const workers = [...handover.workers, ...handover.finishing].map(({ pid }) => pid);
    const finishS = Math.ceil(handover.drainMs / MS_PER_S);
    const plan = [[0, 0, START_S_MAX, finishS], descriptors, channels, workers].map((numbers) => numbers.join(" "));
    const others = process.env["LD_PRELOAD"];
    const preload = `/proc/self/fd/${this.#addon}${others === undefined ? "" : `:${others}`}`;
    return { variables: [`SLUICE_GUARD=${plan.join(";")}`, `LD_PRELOAD=${preload}`], descriptors };
  }
}
