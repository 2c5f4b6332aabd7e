/** native-bench/cancel-delay.ts, once through all states: each of them ends, and has its line. */
import { match, strictEqual } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../../native-bench/cancel-delay.ts", import.meta.url));

test("the delay of a cancel is measured in every state", () => {
  const all = ["--disable-warning=ExperimentalWarning", PROGRAM, "--rounds", "1"];
  const { status, stdout, stderr } = spawnSync(process.execPath, all, { encoding: "utf8", timeout: 120_000 });
  strictEqual(status, 0, stderr);
  for (const wire of ["native", "undici", "http2"])
    match(stdout, new RegExp(`it is streamed +${wire} +[\\d.]+ +[\\d.]+ +[\\d.]+`));
  match(stdout, /1 times each/);
});
