/** native-bench/overload.ts, for a second each: it finds what a worker can serve, and measures at twice that, with shedding and without. */
import { match, strictEqual } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../../native-bench/overload.ts", import.meta.url));

test("goodput is measured at a multiple of what can be served", () => {
  const options = ["--seconds", "1", "--times", "2", "--kinds", "1"];
  const all = ["--disable-warning=ExperimentalWarning", PROGRAM, ...options];
  const { status, stdout, stderr } = spawnSync(process.execPath, all, { encoding: "utf8", timeout: 180_000 });
  strictEqual(status, 0, stderr);
  for (const name of ["50ms", "off"]) match(stdout, new RegExp(`events +${name} +\\d+ +\\d+ +\\d+ +\\d+ % `));
});
