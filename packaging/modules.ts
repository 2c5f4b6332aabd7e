/**
 * Which files of a dependency are shipped: code that this runtime on this platform can load. Packaging. Pure, but for
 * listing directories.
 */
import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { ROOT } from "./contents.ts";
import { type LockedPackage, TRANSFORMED } from "./lock.ts";

const CODE = /\.(?:js|cjs|mjs|json|node)$/;
/** At the top of a package or of its build; further down the same names are code, such as yaml/dist/doc. */
const NOT_RUN =
  /^(?:bin|test|tests|test-jest|__tests__|spec|doc|docs|bench|benchmark|benchmarks|example|examples|fixtures|browser|scripts|coverage|types|dist\/bench)\//;
const NOT_RUN_FILE =
  /(?:^|\/)\.|\.(?:test|spec|bench)\.[cm]?js$|^(?:tsconfig|package-lock|tsdoc|eslint|rollup|webpack|karma|Gruntfile|bower|component|biome)[^/]*$|^(?:dist\/)?(?:build-)?(?:bench|benchmark|bin|example|optional|test)\.[cm]?js$/;
/** Binaries are named by platform, C library and version of Node's interface; 127 is Node 22's. */
const BINARY = /\.node$/;
const OUR_BINARY = /(?:uws_linux_x64_127|nice\.linux-x64-gnu|node\.napi\.glibc)\.node$/;

/** Packages of which only these are read. */
const ONLY: Readonly<Record<string, RegExp>> = {
  uplot: /^(?:package\.json|LICENSE|dist\/uPlot\.min\.css|dist\/uPlot\.iife\.min\.js)$/,
};

/** `path`: from the folder of the package `name`. */
export function isShipped(name: string, path: string): boolean {
  const only = ONLY[name];
  if (only !== undefined) return only.test(path);
  if (BINARY.test(path)) return OUR_BINARY.test(path);
  return path === "package.json" || (CODE.test(path) && !NOT_RUN.test(path) && !NOT_RUN_FILE.test(path));
}

/** Paths from the root of the tree of all that is shipped of a package, in order. */
export function shippedFiles({ path, name }: LockedPackage): readonly string[] {
  if (path in TRANSFORMED) return [];
  return filesBelow(join(ROOT, path))
    .filter((file) => isShipped(name, file))
    .sort()
    .map((file) => join(path, file));
}

/** Files of a folder, without the packages inside of it. */
export function filesBelow(folder: string): readonly string[] {
  const list = (directory: string): string[] =>
    readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) return entry.name === "node_modules" ? [] : list(path);
      return entry.isFile() ? [relative(folder, path)] : [];
    });
  return list(folder);
}
