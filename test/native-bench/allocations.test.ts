/** What a worker allocates: a heap profile becomes bytes per function; and one run of all of it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { sitesOf } from "../../native-bench/allocations/sites.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

type Profile = Parameters<typeof sitesOf>[0];

function node(functionName: string, file: string, selfSize: number, children: Profile[] = []): Profile {
  const url = file === "" || file.startsWith("node:") ? file : `file://${ROOT}${file}`;
  const callFrame = { functionName, url, lineNumber: 6, columnNumber: 1, scriptId: "1" };
  return { callFrame, selfSize, children };
}

test("bytes are summed by function, wherever it was called from", () => {
  const settle = (bytes: number) => node("settle", "src/pipeline/settle.ts", bytes);
  const root = node("(root)", "", 1, [
    node("", "src/http/edge.ts", 10, [settle(5), node("push", "", 7)]),
    node("onEnd", "src/pipeline/relay.ts", 0, [
      node("settle", "lib/pipeline/settle.js", 30),
      node("(V8 API)", "", 2),
      node("now", "node:perf", 4),
    ]),
  ]);
  assert.deepEqual(
    sitesOf(root).map(({ name, bytes }) => `${bytes} ${name}`),
    [
      "35 settle src/pipeline/settle.ts:7",
      "10 (anonymous) src/http/edge.ts:7",
      "7 push < (anonymous) src/http/edge.ts:7",
      "4 now node:perf:7",
      "2 onEnd src/pipeline/relay.ts:7",
      "1 (no script)",
    ],
  );
});

function allocationsOf(scenario: string, directory: string): string {
  const args = ["--allocations", "--scenario", scenario, "--rounds", "1", "--seconds", "1.5"];
  const all = ["--disable-warning=ExperimentalWarning", join(ROOT, "native-bench", "bench.ts"), ...args];
  const env = { ...process.env, TMPDIR: directory };
  const { status, stdout, stderr } = spawnSync(process.execPath, all, { encoding: "utf8", env, timeout: 120_000 });
  assert.equal(status, 0, stderr);
  return stdout;
}

for (const [scenario, unit] of [
  ["saturation", "request"],
  ["streams-200", "event of a stream"],
] as const) {
  test(`a run says how many bytes a worker allocates per ${unit}, and where, and leaves nothing behind`, () => {
    const built = spawnSync("make", ["--silent", "-C", join(ROOT, "src", "native"), "bench"], { encoding: "utf8" });
    assert.equal(built.status, 0, built.stderr);
    const directory = mkdtempSync(join(tmpdir(), "allocations-test-"));
    try {
      const text = allocationsOf(scenario, directory);
      const [, bytes] =
        new RegExp(`^(\\d+) bytes of heap per ${unit}, over \\d+; \\d+ requests$`, "m").exec(text) ?? [];
      assert.ok(Number(bytes) > 0, text);
      assert.match(text, /^\d+ collections, \d+\.\d\d us of pause per /m);
      assert.match(text, /^\S+ src\/(?:pipeline|http|upstream)\/\S+:\d+ +\d+ +\d+\.\d %$/m);
      assert.deepEqual(readdirSync(directory), []);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
}
