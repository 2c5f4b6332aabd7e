/**
 * `npm run bench`: sets the tree up, builds the load generator and the mock provider, and becomes the benchmark. Arguments after
 * `--` go to native-bench/bench.ts. Any Node from 18 on.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { become, ROOT } from "./runtime.mjs";
import { orFail, setup } from "./setup.mjs";

/** One at a time; quick when nothing changed; its output goes to standard error. */
function build() {
  const directory = join(ROOT, "src", "native");
  const make = ["make", "--no-print-directory", "--silent", "--jobs=2", "-C", directory, "bench"];
  const { status } = spawnSync("flock", [join(directory, "Makefile"), ...make], { stdio: ["ignore", 2, 2] });
  if (status !== 0) throw new Error("the load generator could not be built; the reason is above");
}

orFail(() => {
  setup();
  build();
  become([join(ROOT, "native-bench", "bench.ts"), ...process.argv.slice(2)]);
});
