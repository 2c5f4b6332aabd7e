/** Installs a Python package into a virtual environment of its own, from wheels only: a wheel runs nothing at its install. */
import { join } from "node:path";
import { runTool } from "./tool.ts";

const DEADLINE_MS = 600_000;

export interface PythonPackage {
  readonly peer: string;
  /** As pip takes it: name, extras and version. */
  readonly requirement: string;
  /** Distribution name, as its metadata has it. */
  readonly distribution: string;
  readonly signal: AbortSignal;
}

/**
 * Its scripts name the directory that they were installed into, so they do not survive the renaming: programs start by
 * `python(directory) -c`.
 */
export function python(directory: string): string {
  return join(directory, "bin", "python3");
}

export async function fillFromPip(directory: string, { peer, requirement, distribution, signal }: PythonPackage) {
  const run = (tool: string, args: readonly string[]) =>
    runTool({ peer, tool, args, directory, deadlineMs: DEADLINE_MS, signal });
  await run("python3", ["-m", "venv", directory]);
  const quiet = ["--quiet", "--no-input", "--disable-pip-version-check"];
  await run(python(directory), ["-m", "pip", "install", ...quiet, "--only-binary=:all:", requirement]);
  const ask = `import platform, importlib.metadata as m; print(m.version(${JSON.stringify(distribution)}), platform.python_version())`;
  const [version = "", interpreter = ""] = (await run(python(directory), ["-c", ask])).trim().split(" ");
  return { [distribution]: version, python: interpreter };
}
