/**
 * What the package installs: a list of paths, each with its mode and content, and how it becomes a tree on disk. Packaging.
 * What must hold: nothing depends on the umask, the time or the order of a directory, so that two builds are the same bytes.
 */

import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../", import.meta.url));
/** Where the program lives, without the leading slash. */
export const PREFIX = "usr/lib/sluice";

export interface Entry {
  readonly mode: number;
  /** A text that packaging made, or the path of a file to copy. */
  readonly content: { readonly text: string | Uint8Array } | { readonly file: string };
}

/** By path below the root of the installed system, without a leading slash. */
export type Contents = ReadonlyMap<string, Entry>;

export function text(content: string | Uint8Array, mode = 0o644): Entry {
  return { mode, content: { text: content } };
}

/** `path`: absolute, or from the root of the tree. */
export function copyOf(path: string, mode = 0o644): Entry {
  return { mode, content: { file: path.startsWith("/") ? path : join(ROOT, path) } };
}

export function bytesOf({ content }: Entry): Uint8Array {
  if ("file" in content) return readFileSync(content.file);
  return typeof content.text === "string" ? Buffer.from(content.text) : content.text;
}

export function sizeOf({ content }: Entry): number {
  return "file" in content ? statSync(content.file).size : Buffer.byteLength(content.text);
}

/** The tree below `root`, which must not exist; `directories`: empty ones. */
export function writeTree(root: string, contents: Contents): void {
  makeDirectory(root);
  for (const [path, entry] of contents) {
    makeParents(root, path);
    const target = join(root, path);
    if ("file" in entry.content) copyFileSync(entry.content.file, target);
    else writeFileSync(target, entry.content.text);
    chmodSync(target, entry.mode);
  }
}

function makeParents(root: string, path: string): void {
  const parts = dirname(path).split("/");
  for (let depth = 1; depth <= parts.length; depth += 1) makeDirectory(join(root, ...parts.slice(0, depth)));
}

function makeDirectory(path: string): void {
  mkdirSync(path, { recursive: true });
  chmodSync(path, 0o755);
}

/** The control file `md5sums`, by which dpkg --verify knows what was changed; configuration files are not in it. */
export function md5sums(contents: Contents): string {
  const paths = [...contents.keys()].filter((path) => !path.startsWith("etc/")).sort();
  return paths.map((path) => `${md5(contents.get(path))}  ${path}\n`).join("");
}

function md5(entry: Entry | undefined): string {
  return createHash("md5")
    .update(entry === undefined ? "" : bytesOf(entry))
    .digest("hex");
}
