/** Every micro benchmark runs, in its short form: whatever is in the folder, so that none of them rots. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

const MICRO = fileURLToPath(new URL("../../native-bench/micro/", import.meta.url));
const README = new URL("../../native-bench/README.md", import.meta.url);
/** What the benchmarks share. */
const PARTS = ["contest.ts"];
const BENCHMARKS = readdirSync(MICRO).filter((name) => name.endsWith(".ts") && !PARTS.includes(name));
/** The functions that every request or record goes through. */
const HOT = ["scan.ts", "header-build.ts", "key-lookup.ts", "ring-write.ts", "response-scan.ts", "batch-pack.ts"];

interface Contest {
  readonly benchmark: string;
  readonly plain: string;
  readonly results: readonly { readonly name: string; readonly nsPerCall: number; readonly ratio: number }[];
}

function run(file: string, ...args: string[]) {
  const all = ["--disable-warning=ExperimentalWarning", file, "--smoke", ...args];
  return spawnSync(process.execPath, all, { encoding: "utf8", timeout: 60_000 });
}

test("each hot function has its benchmark, and each benchmark its line in the README", () => {
  const readme = readFileSync(README, "utf8");
  assert.deepEqual(
    HOT.filter((name) => !BENCHMARKS.includes(name)),
    [],
  );
  assert.deepEqual(
    BENCHMARKS.filter((name) => !readme.includes(`native-bench/micro/${name}`)),
    [],
  );
});

for (const name of BENCHMARKS) {
  test(`${name} runs and says what it measured`, () => {
    const { status, stdout, stderr } = run(join(MICRO, name), "--json");
    assert.equal(status, 0, stderr);
    const contests = stdout
      .trim()
      .split("\n")
      .map((line): Contest => JSON.parse(line));
    for (const { benchmark, plain, results } of contests) {
      assert.notEqual(benchmark, "");
      assert.ok(results.length > 1, `${benchmark}: nothing to compare with`);
      assert.equal(results.find((result) => result.name === plain)?.ratio, 1);
      for (const result of results) assert.ok(result.nsPerCall > 0 && result.ratio > 0, `${benchmark}: ${result.name}`);
    }
  });
}

test("a benchmark prints a table for people", () => {
  const { status, stdout } = run(join(MICRO, "header-build.ts"));
  assert.equal(status, 0);
  assert.match(stdout, /head of 15 headers\n.*faster.*responseHead.*1\.00x/s);
});

test("a benchmark whose function fails, fails", () => {
  const directory = mkdtempSync(join(tmpdir(), "micro-"));
  try {
    const contest = pathToFileURL(join(MICRO, "contest.ts")).href;
    const file = join(directory, "failing.ts");
    writeFileSync(
      file,
      `import { compare } from "${contest}";\ncompare("x", "a", { a: () => { throw new Error("no"); } });\n`,
    );
    assert.equal(run(file, "--json").status, 1);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
