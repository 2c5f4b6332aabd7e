/** A copy of the program, for tests that upgrade it while it runs. */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "./program.ts";

export class ProgramTree {
  readonly root: string;

  constructor() {
    this.root = mkdtempSync(join(tmpdir(), "sluice-tree-"));
    for (const name of ["src", "package.json"]) cpSync(join(ROOT, name), join(this.root, name), { recursive: true });
    symlinkSync(join(ROOT, "node_modules"), join(this.root, "node_modules"));
  }

  /** Writes `after` where the file has `before`. */
  change(file: string, before: string, after: string): void {
    const path = join(this.root, file);
    const text = readFileSync(path, "utf8");
    if (!text.includes(before)) throw new Error(`${file} has no ${before}`);
    writeFileSync(
      path,
      text.replace(before, () => after),
    );
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
