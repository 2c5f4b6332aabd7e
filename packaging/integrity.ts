/**
 * That the binaries we ship are the ones that the lock file names: their packages' archives are fetched by npm (from its
 * cache, as a rule), the archives' hashes are compared with the lock file's, and the binaries with those in the archives.
 * Packaging. What is on disk could have been changed since the installation; the lock file is reviewed.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { pipeline } from "node:stream/promises";
import { npmCommand, withoutNpm } from "../scripts/setup.mjs";
import { ROOT } from "./contents.ts";
import type { LockedPackage } from "./lock.ts";

/** Throws for a file that is not the one in its package's archive. `files`: from the root of the tree. */
export async function requireAuthentic(owner: LockedPackage, files: readonly string[]): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "sluice-package-"));
  try {
    const archive = fetched(owner, directory);
    requireIntegrity(owner, readFileSync(archive));
    execFileSync("tar", ["--extract", "--gzip", "--no-same-owner", "--file", archive, "--directory", directory]);
    for (const file of files) {
      const original = join(directory, "package", relative(owner.path, file));
      if ((await sha256(original)) !== (await sha256(join(ROOT, file))))
        throw new Error(`${file} is not the one of ${owner.name}@${owner.version}; run npm ci`);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The archive as the registry has it. Runs no script of the package. */
function fetched({ name, version }: LockedPackage, directory: string): string {
  const [command = "npm", ...first] = npmCommand(process.env);
  const args = ["pack", `${name}@${version}`, "--prefer-offline", "--ignore-scripts", "--pack-destination", directory];
  execFileSync(command, [...first, ...args, "--loglevel=error"], {
    env: withoutNpm(process.env),
    stdio: ["ignore", "ignore", 2],
  });
  const archive = readdirSync(directory).find((file) => file.endsWith(".tgz"));
  if (archive === undefined) throw new Error(`npm pack made no archive of ${name}`);
  return join(directory, archive);
}

export function requireIntegrity({ name, version, integrity }: LockedPackage, archive: Uint8Array): void {
  const [algorithm = "", expected] = integrity.split("-", 2);
  const actual = createHash(algorithm).update(archive).digest("base64");
  if (actual !== expected) throw new Error(`the archive of ${name}@${version} is not the one in the lock file`);
}

export async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
