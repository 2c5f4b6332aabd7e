/** Installs an npm package as an application would have it: by the user's npm, without running anybody's install script. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runTool } from "./tool.ts";

const DEADLINE_MS = 300_000;

export interface NpmPackage {
  readonly peer: string;
  /** Exact versions by package name. */
  readonly dependencies: Readonly<Record<string, string>>;
  /** Exact versions of packages below those. */
  readonly overrides: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export async function fillFromNpm(
  directory: string,
  { peer, dependencies, overrides, signal }: NpmPackage,
): Promise<void> {
  writeFileSync(join(directory, "package.json"), JSON.stringify({ private: true, dependencies, overrides }));
  const quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"];
  // The prefix is said because an npm that runs the benchmark would have this one work on its own package.
  const args = ["install", `--prefix=${directory}`, "--ignore-scripts", ...quiet];
  await runTool({ peer, tool: "npm", args, directory, deadlineMs: DEADLINE_MS, signal });
}

/** As installed. */
export function npmVersion(directory: string, name: string): string {
  const { version }: { version: string } = JSON.parse(
    readFileSync(join(directory, "node_modules", name, "package.json"), "utf8"),
  );
  return version;
}
