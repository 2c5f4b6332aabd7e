/**
 * `npm run package`: builds dist/sluice_<version>_amd64.deb. Runs in the project's own runtime, after the set-up. What must hold:
 * the same commit gives the same bytes, whatever the time, the umask, the folder and the environment.
 *
 *   --version V   another version than that of package.json, for testing upgrades
 *   --out DIR     instead of dist/
 *   --fast        hardly compressed, for tests
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import manifest from "../package.json" with { type: "json" };
import { type Contents, ROOT, sizeOf, writeTree } from "./contents.ts";
import { controlFiles } from "./control.ts";
import { requireAuthentic } from "./integrity.ts";
import { libraryDependencies } from "./libraries.ts";
import { type LockedPackage, shippedPackages } from "./lock.ts";
import { shippedFiles } from "./modules.ts";
import { payload, RUNTIME } from "./payload.ts";

interface Request {
  readonly version: string;
  readonly out: string;
  readonly fast: boolean;
}

function request(): Request {
  const options = { version: { type: "string" }, out: { type: "string" }, fast: { type: "boolean" } } as const;
  const { values } = parseArgs({ options });
  const { version = manifest.version, out = join(ROOT, "dist"), fast = false } = values;
  if (!/^\d[A-Za-z0-9.+~]*$/.test(version))
    throw new Error(`${version} is not a version of a Debian package without revision`);
  return { version, out, fast };
}

/** The time of everything in the package, seconds: the commit's, or what the environment says (reproducible-builds.org). */
function sourceEpochS(): number {
  const given = process.env["SOURCE_DATE_EPOCH"];
  return Number(given ?? execFileSync("git", ["log", "-1", "--format=%ct"], { cwd: ROOT, encoding: "utf8" }));
}

async function build({ version, out, fast }: Request): Promise<string> {
  const packages = shippedPackages();
  await requireAuthenticBinaries(packages);
  const epochS = sourceEpochS();
  const contents = await payload({ version, epochS });
  const depends = libraryDependencies(
    binariesOf(packages)
      .concat("src/native/build/sluice.node")
      .map((file) => join(ROOT, file)),
  );
  const stage = mkdtempSync(join(tmpdir(), "sluice-stage-"));
  try {
    const tree = join(stage, "tree");
    writeTree(tree, contents);
    writeTree(join(tree, "DEBIAN"), controlFiles(contents, { version, depends }));
    mkdirSync(out, { recursive: true });
    const file = join(out, `sluice_${version}_amd64.deb`);
    pack(tree, file, epochS, fast);
    report(file, contents);
    return file;
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

/** What of the packages is machine code: nobody can review it, so it has to be what the lock file says. */
function binariesOf(packages: readonly LockedPackage[]): string[] {
  return [RUNTIME, ...packages.flatMap(shippedFiles).filter((file) => file.endsWith(".node"))];
}

async function requireAuthenticBinaries(packages: readonly LockedPackage[]): Promise<void> {
  const binaries = binariesOf(packages);
  for (const owner of packages) {
    const own = binaries.filter((file) => file.startsWith(`${owner.path}/`));
    if (own.length > 0) await requireAuthentic(owner, own);
  }
}

/** dpkg-deb sorts the files; one thread, because the number of them decides how xz cuts. */
function pack(tree: string, file: string, epochS: number, fast: boolean): void {
  const args = ["--root-owner-group", "-Zxz", fast ? "-z0" : "-z6", "--threads-max=1", "--build", tree, file];
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(epochS), LC_ALL: "C.UTF-8", TZ: "UTC" };
  execFileSync("dpkg-deb", args, { env, stdio: ["ignore", "ignore", 2] });
}

function report(file: string, contents: Contents): void {
  const installed = [...contents.values()].reduce((sum, entry) => sum + sizeOf(entry), 0);
  const mb = (bytes: number) => `${(bytes / 1_000_000).toFixed(1)} MB`;
  process.stdout.write(`${file}\n${mb(statSync(file).size)}; installed ${contents.size} files, ${mb(installed)}\n`);
}

try {
  await build(request());
} catch (error) {
  process.stderr.write(`sluice: no package: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
