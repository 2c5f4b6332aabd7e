/**
 * Replacing a configuration file in one step: whoever reads it sees the old text or the new one, never a part. Command
 * line. Mode and owner stay; a second editor at the same time is refused, not lost.
 */
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from "node:fs";
import { CodedError } from "../base/errors.ts";
import { CONFIG_BYTES_MAX } from "../base/limits.ts";
import { readTextFile } from "./file.ts";

/** Writes what `edit` makes of the text of `path`. If `edit` throws, the file is as it was. */
export function replaceFile(path: string, edit: (text: string) => string): void {
  try {
    // A symbolic link stays one: what it leads to is replaced.
    replaceReal(realpathSync(path), edit);
  } catch (cause) {
    if (cause instanceof CodedError && cause.code !== "file_unreadable") throw cause;
    throw new CodedError("config_not_replaced", failure(path, cause), cause);
  }
}

function replaceReal(path: string, edit: (text: string) => string): void {
  const before = statSync(path);
  // Its name is fixed, so that it locks out a second editor as well.
  const draft = `${path}.new`;
  const file = openSync(draft, "wx", 0o600);
  try {
    writeDraft(file, edit(readTextFile(path, CONFIG_BYTES_MAX)), before);
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
}

function writeDraft(file: number, text: string, like: Stats): void {
  writeFileSync(file, text);
  fchownSync(file, like.uid, like.gid);
  fchmodSync(file, like.mode & 0o7777);
  fsyncSync(file);
}

function failure(path: string, cause: unknown): string {
  if (cause instanceof CodedError) return `${path} ${cause.message}.`;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown error";
  if (code === "EEXIST")
    return `${path}.new exists: someone else edits ${path}, or a crash left it. Remove it if nobody does.`;
  if (code === "EPERM") return `${path} belongs to someone else; run this as its owner or as root.`;
  if (code === "ENOENT") return `${path} does not exist.`;
  return `${path} could not be replaced (${code}).`;
}
