/** A package built for a test, and what is in it. The build is the real one, hardly compressed. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../support/program.ts";

export interface Listed {
  /** As ls shows it: "-rw-r--r--". */
  readonly mode: string;
  readonly owner: string;
  readonly path: string;
}

export class DebianPackage {
  readonly directory: string;
  readonly file: string;
  private listed: readonly Listed[] | null = null;

  private constructor(directory: string, version: string) {
    this.directory = directory;
    this.file = join(directory, `sluice_${version}_amd64.deb`);
  }

  /** Builds with `umask` and `timeZone` in a folder that has nothing to do with the tree. */
  static async build(version: string, umask: string, timeZone: string): Promise<DebianPackage> {
    const built = new DebianPackage(mkdtempSync(join(tmpdir(), "sluice-package-test-")), version);
    const program = join(ROOT, "packaging/package.ts");
    const script = `umask ${umask} && exec "$0" --disable-warning=ExperimentalWarning "$@"`;
    const args = [program, "--fast", "--version", version, "--out", built.directory];
    const child = spawn("sh", ["-c", script, process.execPath, ...args], {
      cwd: built.directory,
      env: { ...process.env, TZ: timeZone },
      stdio: ["ignore", "ignore", "inherit"],
    });
    const [code]: (number | null)[] = await once(child, "exit");
    if (code !== 0) throw new Error(`the package was not built: exit code ${code}`);
    return built;
  }

  /** Files, folders and links, without the leading dot. */
  list(): readonly Listed[] {
    this.listed ??= dpkgDeb("--contents", this.file).trimEnd().split("\n").map(listedOf);
    return this.listed;
  }

  field(name: string): string {
    return dpkgDeb("--field", this.file, name).trim();
  }

  /** Extracts the files below `folder` of its directory; the path of that folder. */
  extract(folder: string): string {
    const target = join(this.directory, folder);
    dpkgDeb("--extract", this.file, target);
    return target;
  }

  control(): string {
    const target = join(this.directory, "control");
    dpkgDeb("--control", this.file, target);
    return target;
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function listedOf(line: string): Listed {
  const [mode = "", owner = "", , , , path = ""] = line.split(/\s+/);
  return { mode, owner, path: path.replace(/^\./, "") };
}

function dpkgDeb(...args: readonly string[]): string {
  return execFileSync("dpkg-deb", args, { encoding: "utf8" });
}
