/**
 * `node test/debian/main.ts PART PACKAGES`: one part of the steps (parts.ts), inside a Debian tree that scripts/debian.sh booted;
 * PACKAGES is a folder of packages. Prints a line for each step; the first that fails ends it, with the journal's last lines.
 */
import process from "node:process";
import { output } from "./command.ts";
import { partsOf } from "./parts.ts";

const JOURNAL_LINES = "60";

async function tail(): Promise<string> {
  return output("journalctl", "--no-pager", "--output=short-precise", `--lines=${JOURNAL_LINES}`);
}

async function main([part = "", packages = ""]: readonly string[]): Promise<boolean> {
  for (const { name, run } of partsOf(packages)[part] ?? []) {
    const startMs = performance.now();
    try {
      const found = await run();
      console.log(`ok ${name}: ${found} (${((performance.now() - startMs) / 1_000).toFixed(1)} s)`);
    } catch (error) {
      console.log(`not ok ${name}: ${error instanceof Error ? error.stack : error}\n${await tail()}`);
      return false;
    }
  }
  return true;
}

// What a step that failed left running must not keep it.
process.exit((await main(process.argv.slice(2))) ? 0 : 1);
