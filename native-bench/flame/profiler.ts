/** What the flame graph wants of a profiler: flags of Node, and samples of the time between two moments. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Runtime } from "../contestants/sluice.ts";
import type { Sample } from "./stack-tree.ts";
import type { Watch } from "./subject.ts";

export interface Profiler extends Watch {
  /** For the reader of the page. */
  readonly name: string;
  /** Once the gateway has ended. */
  samples(): Sample[];
  /** Removes what was written outside of the directory that it was given. */
  clean(): void;
}

const PIDS = "pids";

/**
 * Node with `flags`, for a process and for the Node processes that it forks. NODE_OPTIONS alone would be simpler, and takes
 * none of V8's flags for logs; so a module that is loaded first replaces the program to fork by a script with the flags.
 */
export function runtimeWith(flags: readonly string[], directory: string): Runtime {
  const command = join(directory, "node");
  const first = join(directory, "first.mjs");
  const words = [process.execPath, ...flags].map((word) => `'${word}'`);
  writeFileSync(command, `#!/bin/sh\necho $$ >>'${join(directory, PIDS)}'\nexec ${words.join(" ")} "$@"\n`);
  chmodSync(command, 0o755);
  writeFileSync(first, `process.execPath = ${JSON.stringify(command)};\n`);
  return { command, env: { NODE_OPTIONS: `--import=${first}` } };
}

/** All that were started with it. */
export function startedPids(directory: string): number[] {
  const file = join(directory, PIDS);
  return existsSync(file) ? readFileSync(file, "utf8").trim().split("\n").map(Number) : [];
}
