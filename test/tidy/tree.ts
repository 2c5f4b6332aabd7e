/** The source tree as text, for the tidy tests. */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export interface SourceFile {
  /** From the root of the tree, with slashes. */
  readonly path: string;
  readonly text: string;
}

/** Not ours, or made by running. */
const SKIPPED = new Set(["node_modules", ".git", "build", "lib", "data", "logs"]);
const TEXT = /\.(ts|mjs|js|json|ya?ml|md|cc|h|sh|html|css|service|conf|sql)$|\/(Makefile|run|\.npmrc|\.gitignore)$/;
/** Written by npm from the registry's answers. */
const GENERATED = new Set(["package-lock.json"]);

/** Text files below a folder of the tree; "" is the tree. */
export function filesIn(folder: string): SourceFile[] {
  const directory = join(ROOT, folder);
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = relative(ROOT, join(directory, entry.name));
    if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : filesIn(path);
    return entry.isFile() && TEXT.test(`/${path}`) && !GENERATED.has(path) ? [readSource(path)] : [];
  });
}

export function codeIn(folder: string): SourceFile[] {
  return filesIn(folder).filter(({ path }) => path.endsWith(".ts"));
}

export function readSource(path: string): SourceFile {
  return { path, text: readFileSync(join(ROOT, path), "utf8") };
}
