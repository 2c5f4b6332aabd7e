/**
 * Builds a program of a Go module. `go install` would do for most, but not for a module with replace directives or one that
 * lacks files which are generated in its repository; so the module is downloaded, copied out, made whole and built. What is
 * downloaded and compiled stays in Go's own caches, which the user may share with it.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { runTool } from "./tool.ts";
import { Unavailable } from "./unavailable.ts";

const DOWNLOAD_DEADLINE_MS = 300_000;
const BUILD_DEADLINE_MS = 1_200_000;
const PROGRAM = "program";

export interface GoProgram {
  readonly peer: string;
  readonly module: string;
  readonly version: string;
  /** Of the main package, from the module's root. */
  readonly main: string;
  readonly cgo: boolean;
  /** Adds to the copied sources what the module lacks. */
  readonly complete?: (sources: string) => void;
}

export function goProgram(directory: string): string {
  return join(directory, PROGRAM);
}

export async function fillFromGo(directory: string, program: GoProgram, signal: AbortSignal) {
  const { peer, module, version, cgo } = program;
  const environment = { GOWORK: "off", CGO_ENABLED: cgo ? "1" : "0" };
  const run = (tool: string, args: readonly string[], from: string, deadlineMs: number) =>
    runTool({ peer, tool, args, directory: from, environment, deadlineMs, signal });
  const sources = join(directory, "sources");
  const download = (...options: string[]) =>
    run("go", ["mod", "download", ...options, `${module}@${version}`], directory, DOWNLOAD_DEADLINE_MS);
  // Twice, the second time at once: its failures are for people to read, without -json.
  await download();
  const downloaded = downloadedTo(peer, await download("-json"));
  // Modules are kept without the right to write.
  await run("cp", ["-R", "--no-preserve=mode", downloaded, sources], directory, DOWNLOAD_DEADLINE_MS);
  program.complete?.(sources);
  const build = ["build", "-trimpath", "-buildvcs=false", "-o", goProgram(directory), program.main];
  await run("go", build, sources, BUILD_DEADLINE_MS);
  const compiler = (await run("go", ["env", "GOVERSION"], sources, DOWNLOAD_DEADLINE_MS)).trim();
  rmSync(sources, { recursive: true, force: true });
  return { [peer]: version, go: compiler };
}

/** `go mod download -json` says where the module is. */
function downloadedTo(peer: string, output: string): string {
  const { Dir: directory }: { Dir?: string } = JSON.parse(output);
  if (directory === undefined) throw new Unavailable(peer, `go mod download said no directory: ${output}`);
  return directory;
}
