/**
 * Whom the kernel ends when memory is short: a worker rather than the supervisor, with which everything would end. Supervisor
 * main thread. Anybody may make himself and his children a better choice, so this needs no privilege.
 */
import { readFileSync, writeFileSync } from "node:fs";

/** A fifth of the memory in question, as the kernel counts: more than a supervisor has. */
const STEP = 200;
const SCORE_MAX = 1_000;

/** Makes a worker the kernel's choice. Where there is no /proc to write to, the kernel chooses as it likes. */
export function preferAsVictim(pid: number): void {
  try {
    const own = Number(readFileSync("/proc/self/oom_score_adj", "utf8"));
    writeFileSync(`/proc/${pid}/oom_score_adj`, String(Math.min(own + STEP, SCORE_MAX)));
  } catch {
    // Also for a worker that ended already.
  }
}
