/**
 * Which program is on disk: a hash of our files, of what packages say of themselves and of the runtime's size, 5 to 10 ms. Any process, at start and
 * when something of the program is about to be loaded later on. What must stay true: one process tree runs one program. From the
 * moment that an upgrade writes new files until the restart, nothing is loaded from them; what would be waits for the restart.
 * A working copy (with .git) is known by its version only: it changes all the time, and whoever changes it knows.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { workerData } from "node:worker_threads";
import { CodedError } from "./errors.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const IS_WORKING_COPY = existsSync(join(ROOT, ".git"));
/** Of this program: src/, or lib/, which is made of it. */
const OWN = fileURLToPath(new URL("../", import.meta.url));
const ADDON = join(ROOT, "src/native/build/sluice.node");
const OURS = /\.[jt]s$/;

/** When this process, or thread, had read its modules. */
export const PROGRAM = programOnDisk();

/** Of what is there now. While an upgrade writes, it is the hash of a mixture, or of nothing. */
export function programOnDisk(): string {
  const hash = createHash("sha256");
  try {
    hash.update(`${statSync(process.execPath).size}`);
    for (const path of [...ourFiles(), ...packageFiles()]) hash.update(path).update(readIfAny(path));
  } catch {
    return "";
  }
  return hash.digest("hex");
}

/** In a pool thread: throws CodedError `program_changed` if it is not that of the thread that made it (`data`, by default). */
export function requireSameProgram(data: unknown = workerData): void {
  const { program } = (data ?? {}) as { readonly program?: string };
  if (program === undefined || program === programOnDisk()) return;
  throw new CodedError(
    "program_changed",
    "the program on disk is another one than the one that runs: it needs a restart",
  );
}

/** Whether it is that error, or one that it caused. */
export function isProgramChange(error: unknown): boolean {
  if (error instanceof CodedError && error.code === "program_changed") return true;
  return error instanceof Error && error.cause !== undefined && isProgramChange(error.cause);
}

function ourFiles(): string[] {
  if (IS_WORKING_COPY) return [join(ROOT, "package.json")];
  const files = readdirSync(OWN, { recursive: true, withFileTypes: true });
  const own = files.filter((entry) => entry.isFile() && OURS.test(entry.name));
  return [join(ROOT, "package.json"), ADDON, ...own.map(({ parentPath, name }) => join(parentPath, name)).sort()];
}

function packageFiles(): string[] {
  if (IS_WORKING_COPY) return [];
  const modules = join(ROOT, "node_modules");
  const names = existsSync(modules) ? readdirSync(modules) : [];
  const packages = names.flatMap((name) =>
    name.startsWith("@") ? readdirSync(join(modules, name)).map((inner) => join(name, inner)) : [name],
  );
  return packages.sort().map((name) => join(modules, name, "package.json"));
}

function readIfAny(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch {
    return new Uint8Array(0);
  }
}
