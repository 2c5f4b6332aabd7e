/**
 * A copy of the store while it is written: one read transaction, so it is the store as it was at one moment, and the drain goes
 * on meanwhile. Command line. SQLite's own online backup begins again whenever another process writes, ten times a second
 * here, and on a large database never ends.
 */
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { CodedError } from "../../base/errors.ts";
import { storePath } from "./store.ts";

/**
 * Writes `target`, which must not exist, readable by its owner only; it appears when it is whole and on the disk. Its size, bytes.
 * Throws CodedError `no_usage` or `backup_failed`.
 */
export function backUpStore(dataDir: string, target: string): number {
  const source = storePath(dataDir);
  if (!existsSync(source)) throw new CodedError("no_usage", `There is no ${source}.`);
  if (existsSync(target)) throw new CodedError("backup_failed", `${target} exists and was left as it is.`);
  const unfinished = `${target}.unfinished`;
  try {
    copy(source, unfinished);
    sync(unfinished);
    renameSync(unfinished, target);
    sync(dirname(target));
    return statSync(target).size;
  } catch (cause) {
    rmSync(unfinished, { force: true });
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CodedError("backup_failed", `${target} could not be written: ${reason}.`, cause);
  }
}

function copy(source: string, target: string): void {
  // SQLite takes an empty file, and keeps its mode.
  closeSync(openSync(target, "w", 0o600));
  const database = new DatabaseSync(source, { readOnly: true });
  try {
    database.prepare("VACUUM INTO ?").run(target);
  } finally {
    database.close();
  }
}

function sync(path: string): void {
  const descriptor = openSync(path, "r");
  fsyncSync(descriptor);
  closeSync(descriptor);
}
