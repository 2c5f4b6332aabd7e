/**
 * Whether the sinks can be written at all: asked once, at start, so that an operator hears of a damaged database or an
 * unwritable log from the start command and not from the first report. Supervisor main thread.
 */
import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { CodedError } from "../base/errors.ts";
import { Store, storePath } from "./sinks/store.ts";

/** As the sink makes them. */
const LOG_MODE = 0o640;
const FOLDER_MODE = 0o750;

/** Throws CodedError `store_unusable` or `access_log_unusable`, or what the store says of its version. */
export function requireSinks(dataDir: string, accessLogPath: string | null): void {
  requireStore(dataDir);
  if (accessLogPath !== null) requireLog(accessLogPath);
}

function requireStore(dataDir: string): void {
  try {
    new Store(dataDir).close();
  } catch (cause) {
    if (cause instanceof CodedError) throw cause;
    const path = storePath(dataDir);
    const advice =
      "Restore a backup, or move it away to begin a new one; records that are not in it yet wait in 'rings'.";
    throw new CodedError("store_unusable", `${path} cannot be used: ${reasonOf(cause)}. ${advice}`, cause);
  }
}

function requireLog(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: FOLDER_MODE });
    closeSync(openSync(path, "a", LOG_MODE));
  } catch (cause) {
    const message = `Cannot write the access log (setting 'access_log.path'): ${reasonOf(cause)}`;
    throw new CodedError("access_log_unusable", message, cause);
  }
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
