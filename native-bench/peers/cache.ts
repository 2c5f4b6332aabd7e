/**
 * Where peers are kept between runs: outside of the tree, a directory for each name and version. What must hold: a
 * directory with that name is whole. An installation happens beside it, under a name that nobody takes for it, and is
 * renamed when it is done; the one of a runner that was killed is removed by the next.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

const PARTIAL = ".partial-";
const VERSIONS_FILE = "versions.json";

export type Versions = Readonly<Record<string, string>>;

export interface Installed {
  readonly directory: string;
  readonly versions: Versions;
}

export interface Installation {
  readonly name: string;
  /** Of all that is pinned: another one is another directory. */
  readonly version: string;
  /** Fills an empty directory that will be renamed, so nothing in it may know its path; says what it holds. */
  readonly fill: (directory: string) => Promise<Versions>;
}

/** As the XDG specification has it: a relative XDG_CACHE_HOME is ignored. */
export function cacheDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  const chosen = environment["XDG_CACHE_HOME"] ?? "";
  return join(isAbsolute(chosen) ? chosen : join(homedir(), ".cache"), "sluice-bench");
}

/** What is in the cache, or is filled in now. */
export async function install(cache: string, installation: Installation): Promise<Installed> {
  const directory = join(cache, `${installation.name}-${installation.version}`);
  if (!existsSync(directory)) await fillBeside(directory, installation);
  return { directory, versions: JSON.parse(readFileSync(join(directory, VERSIONS_FILE), "utf8")) };
}

async function fillBeside(directory: string, { name, version, fill }: Installation): Promise<void> {
  removeAbandoned(directory);
  const partial = `${directory}${PARTIAL}${process.pid}`;
  mkdirSync(partial, { recursive: true });
  const startMs = performance.now();
  process.stderr.write(`${name} ${version}: installing into ${directory}\n`);
  try {
    writeFileSync(join(partial, VERSIONS_FILE), JSON.stringify(await fill(partial)));
    take(partial, directory);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  process.stderr.write(`${name} ${version}: installed in ${Math.round((performance.now() - startMs) / 1_000)} s\n`);
}

/** Another runner may have been faster: then its directory is as good. */
function take(partial: string, directory: string): void {
  try {
    renameSync(partial, directory);
  } catch (error) {
    if (!existsSync(join(directory, VERSIONS_FILE))) throw error;
  }
}

function removeAbandoned(directory: string): void {
  const parent = join(directory, "..");
  if (!existsSync(parent)) return;
  for (const entry of readdirSync(parent)) {
    const path = join(parent, entry);
    const isPartial = path.startsWith(`${directory}${PARTIAL}`);
    if (isPartial && !isAlive(Number(path.slice(directory.length + PARTIAL.length)))) {
      rmSync(path, { recursive: true, force: true });
    }
  }
}

function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}
